"""Who is this: sign-in, sessions, consent, launch, tickets, staff."""
