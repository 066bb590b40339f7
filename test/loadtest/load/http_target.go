package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
)

// HTTPTarget returns a target that gets the requests, one after another from the list, over
// connections that stay open. The client parses only the status and the length of a response, so
// that the processor time is the server's.
func HTTPTarget(name, address string, requests [][]byte) Target {
	return Target{Name: name, Ask: func(ctx context.Context, worker int) (func() error, func(), error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, nil, err
		}
		answers := bufio.NewReaderSize(conn, 16<<10)
		next := worker * len(requests) / Concurrency
		once := func() error {
			if _, err := conn.Write(requests[next]); err != nil {
				return err
			}
			if next++; next == len(requests) {
				next = 0
			}
			return readAnswer(answers)
		}
		return once, func() { _ = conn.Close() }, nil
	}}
}

// readAnswer reads a response that has status 200 and states its length.
func readAnswer(from *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch line = bytes.TrimRight(line, "\r\n"); {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("the answer is %s", line)
		case first:
			first = false
		case len(line) == 0:
			_, err := io.CopyN(io.Discard, from, int64(length))
			return err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(line[len("Content-Length: "):])); err != nil {
				return err
			}
		}
	}
}
