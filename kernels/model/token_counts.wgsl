// token_counts: the mark of a token that a prompt has, beside the number of times that it was generated.
const IN_PROMPT = 0x80000000u;
