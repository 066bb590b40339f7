package verify

// Remembered counts what the index holds beside entries.
func (x *Index) Remembered() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.grants) + len(x.owners) + len(x.tenants) + len(x.ended)
}
