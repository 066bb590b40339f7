package load

import (
	"context"
	"errors"
	"sync"
)

// Burst sends n requests at once, each over a connection of its own that is open before. It returns
// how many responses had each status.
func Burst(ctx context.Context, address string, n int, request func(i int) []byte) (map[int]int, error) {
	var mu sync.Mutex
	var problem error
	statuses := map[int]int{}
	var sending sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		l, err := Dial(ctx, address)
		if err != nil {
			problem = errors.Join(problem, err)
			break
		}
		defer l.Close()
		sending.Go(func() {
			<-begin
			status, _, err := l.Send(request(i))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			problem = errors.Join(problem, err)
		})
	}
	close(begin)
	sending.Wait()
	return statuses, problem
}
