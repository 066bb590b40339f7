package server

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

// Divisors of a listener's connection limit. No untrusted source can take all connections. Where
// trusted proxies are configured, neither can all untrusted sources together.
const (
	sourceShare  = 4 // an address that is no trusted proxy has at most a quarter
	trustedShare = 4 // a quarter is reserved for trusted proxies
)

// unauthenticatedIdleTimeout is the idle timeout of a connection on which no credential was
// accepted yet.
const unauthenticatedIdleTimeout = 30 * time.Second

// limitedListener is a listener that closes connections beyond its limits at once instead of
// queueing them. At the limit, a new connection displaces one of a source that has more. So a few
// sources cannot lock out gateways and probes.
type limitedListener struct {
	net.Listener
	max     int // 0 means no limit
	trusted []netip.Prefix
	idle    time.Duration
	refused func() // called for each connection that is refused or displaced; may be nil

	mu        sync.Mutex
	total     int
	untrusted int
	bySource  map[netip.Prefix][]*conn // of untrusted sources, oldest first
}

// Accept returns the next connection within the limits.
func (b *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at := &conn{Conn: c, idle: b.idle, from: endpoint.PeerOf(c.RemoteAddr().String())}
		at.onClose = func() { b.leave(at) }
		displaced, ok := b.enter(at)
		if displaced != nil {
			b.refuse(displaced)
		}
		if ok {
			return at, nil
		}
		b.refuse(at)
	}
}

func (b *limitedListener) refuse(c *conn) {
	if b.refused != nil {
		b.refused()
	}
	_ = c.Close() //nolint:errcheck // the connection is not served
}

// enter counts a connection if it is within the limits. It returns the connection that it
// displaces, or nil.
func (b *limitedListener) enter(c *conn) (displaced *conn, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.isUntrusted, c.source = !endpoint.ContainsAddress(b.trusted, c.from), verify.SourceNetwork(c.from)
	if b.max > 0 {
		maxUntrusted, own := b.max, 0
		if len(b.trusted) > 0 {
			maxUntrusted -= b.max / trustedShare
		}
		if c.isUntrusted {
			own = len(b.bySource[c.source])
		}
		if own >= max(b.max/sourceShare, 1) {
			return nil, false
		}
		if b.total >= b.max || c.isUntrusted && b.untrusted >= maxUntrusted {
			if displaced = b.displaceable(own); displaced == nil {
				return nil, false
			}
			b.remove(displaced)
		}
	}
	b.add(c)
	return displaced, true
}

// displaceable returns the connection to close for a new one of a source that has own connections.
// It is the oldest without an accepted credential, of the source that has most of those. It is nil
// if that source would then have fewer than the new connection's source.
func (b *limitedListener) displaceable(own int) *conn {
	var oldest *conn
	most := own + 1
	for _, conns := range b.bySource {
		var first *conn
		n := 0
		for _, c := range conns {
			if c.isAuthenticated.Load() {
				continue
			}
			if first == nil {
				first = c
			}
			n++
		}
		if n > most {
			oldest, most = first, n
		}
	}
	return oldest
}

func (b *limitedListener) add(c *conn) {
	c.isCounted = true
	b.total++
	if !c.isUntrusted {
		return
	}
	b.untrusted++
	if b.bySource == nil {
		b.bySource = map[netip.Prefix][]*conn{}
	}
	b.bySource[c.source] = append(b.bySource[c.source], c)
}

func (b *limitedListener) leave(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.isCounted {
		b.remove(c)
	}
}

func (b *limitedListener) remove(c *conn) {
	c.isCounted = false
	b.total--
	if !c.isUntrusted {
		return
	}
	b.untrusted--
	rest := slices.DeleteFunc(b.bySource[c.source], func(x *conn) bool { return x == c })
	if b.bySource[c.source] = rest; len(rest) == 0 {
		delete(b.bySource, c.source)
	}
}

// conn is a connection that is closed when it is idle for too long, until a credential is accepted
// on it. From then on its server's deadlines apply, and reads take no lock.
type conn struct {
	net.Conn
	idle      time.Duration
	from      netip.Addr
	onClose   func()
	closeOnce sync.Once

	isUntrusted bool // these fields are guarded by the lock of the limitedListener
	source      netip.Prefix
	isCounted   bool

	isAuthenticated atomic.Bool
	mu              sync.Mutex
	serverDeadline  time.Time // the deadline that the server set; zero means none
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if !c.isAuthenticated.Load() {
		if err := c.limitReadDeadline(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// limitReadDeadline sets the read deadline of a connection without an accepted credential.
func (c *conn) limitReadDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isAuthenticated.Load() {
		return nil
	}
	latest := time.Now().Add(c.idle) //nolint:forbidigo // network deadlines need the real clock
	if !c.serverDeadline.IsZero() && c.serverDeadline.Before(latest) {
		latest = c.serverDeadline
	}
	return c.Conn.SetReadDeadline(latest)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.isAuthenticated.Load() {
		return c.Conn.SetReadDeadline(t)
	}
	c.mu.Lock()
	c.serverDeadline = t
	c.mu.Unlock()
	if c.isAuthenticated.Load() {
		return c.Conn.SetReadDeadline(t)
	}
	return c.limitReadDeadline()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// MarkAuthenticated records that a credential was accepted.
func (c *conn) MarkAuthenticated() {
	if c.isAuthenticated.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isAuthenticated.Store(true)
	_ = c.Conn.SetReadDeadline(c.serverDeadline) //nolint:errcheck // it fails only on a closed connection
}

// RemoteAddr implements net.Conn. The address it returns refers to the connection.
func (c *conn) RemoteAddr() net.Addr { return connAddr{c.Conn.RemoteAddr(), c} }

// connAddr is the remote address of a connection, with the connection.
type connAddr struct {
	net.Addr
	conn *conn
}

// MarkAuthenticated records that a credential was accepted on the connection.
func (a connAddr) MarkAuthenticated() { a.conn.MarkAuthenticated() }

// CloseWrite half-closes the connection: net/http signals the end of its response and still reads
// what the peer has sent.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closeOnce.Do(c.onClose)
	return c.Conn.Close()
}

// withConn stores a connection in its context.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if at, ok := c.RemoteAddr().(connAddr); ok {
		return endpoint.WithNotifiedConn(ctx, at.conn)
	}
	return ctx
}

// LimitConnections returns a listener of at most most connections, a quarter of them from one
// address. It is for servers that verify no credentials: every connection is closed after half a
// minute without data, and may be displaced.
func LimitConnections(socket net.Listener, most int) net.Listener {
	return &limitedListener{Listener: socket, max: most, idle: unauthenticatedIdleTimeout}
}
