package password

// SetCompare replaces the work of a check, so that a test decides how long it takes.
func (c *Checker) SetCompare(work func() bool) {
	c.compare = func(Stored, Secret) bool { return work() }
}

// KeyCount returns how many keys have failed.
func (l *Limits) KeyCount() int { return l.limiters.Len() }

// Counts returns how many names, sources and pairs of both are counted, and how many checks wait.
func (c *Checker) Counts() (names, sources, pairs, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.names), len(c.sources), len(c.pairs), c.queue.size
}
