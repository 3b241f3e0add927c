"""Which words people use and which words models use: counted over millions of answers, and contrasted."""
