"""Numbers, dates, amounts, addresses and abbreviations of a text as the words they are said in."""
