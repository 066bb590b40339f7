package quota

// Size returns the number of tokens and ledgers in an index.
func Size(x *Index) (tokens, ledgers int) { return len(x.tokens), len(x.ledgers) }
