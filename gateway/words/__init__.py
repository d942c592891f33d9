"""Every text that a citizen or admin reads: `zh.json` and `en.json`, looked up by `loader`."""
