package password

// Weigh replaces the work of a check, so that a test decides how long it takes.
func (c *Checker) Weigh(work func() bool) {
	c.weigh = func(Stored, Secret) bool { return work() }
}

// Remembered is how many keys have failed.
func (l *Limits) Remembered() int { return l.limiters.Len() }
