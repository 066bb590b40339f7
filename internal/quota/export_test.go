package quota

// Size is how many tokens and accounts an index keeps.
func Size(x *Index) (tokens, ledgers int) { return len(x.tokens), len(x.ledgers) }
