"""Other people's systems, for demo and tests: the simulated city of Anlan (安澜市, invented).

Started as a child process (`python -m gateway.simulated`); imports nothing of ours, and nothing of
ours imports it. What each system speaks is written in WIRE.md beside this file.
"""
