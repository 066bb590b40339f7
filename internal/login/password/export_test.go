package password

// Weigh replaces the work of a check, so that a test decides how long it takes.
func (c *Checker) Weigh(work func() bool) {
	c.weigh = func(Stored, Secret) bool { return work() }
}

// Remembered returns how many keys have failed.
func (l *Limits) Remembered() int { return l.limiters.Len() }

// Held returns how many names and sources are counted, and how many checks wait.
func (c *Checker) Held() (names, sources, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.names), len(c.sources), c.queue.size
}
