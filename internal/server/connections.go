package server

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/apptoken/operator/internal/verify"
)

// Shares of the connections of a listener. A stranger cannot have all of them, and neither can all strangers together where
// gateways are known.
const (
	sourceShare    = 4 // one address that is no trusted proxy has a quarter
	strangersShare = 4 // trusted proxies have a quarter for themselves
)

// strangerIdle is how long a connection may be silent on which no credential was accepted yet.
const strangerIdle = 30 * time.Second

// boundedSocket is a socket that closes connections beyond its bounds at once, rather than let them wait. At the bound, a new
// connection displaces one of a source that has more: a few sources cannot keep gateways and probes out.
type boundedSocket struct {
	net.Listener
	max     int // 0: no bound
	trusted []netip.Prefix
	idle    time.Duration
	refused func() // is called for each connection that was refused or displaced; may be nil

	mu        sync.Mutex
	all       int
	strangers int
	bySource  map[netip.Prefix][]*conn // of strangers, the oldest first
}

// Accept returns the next connection within the bounds.
func (b *boundedSocket) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at := &conn{Conn: c, idle: b.idle, from: peerOf(c.RemoteAddr().String())}
		at.left = func() { b.leave(at) }
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

func (b *boundedSocket) refuse(c *conn) {
	if b.refused != nil {
		b.refused()
	}
	_ = c.Close() //nolint:errcheck // it is not served anyway
}

// enter counts a connection, if it is within the bounds, and returns the one that it displaces; nil: none.
func (b *boundedSocket) enter(c *conn) (displaced *conn, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.stranger, c.source = !trusts(b.trusted, c.from), verify.SourceNetwork(c.from)
	if b.max > 0 {
		maxStrangers, own := b.max, 0
		if len(b.trusted) > 0 {
			maxStrangers -= b.max / strangersShare
		}
		if c.stranger {
			own = len(b.bySource[c.source])
		}
		if own >= max(b.max/sourceShare, 1) {
			return nil, false
		}
		if b.all >= b.max || c.stranger && b.strangers >= maxStrangers {
			if displaced = b.displaceable(own); displaced == nil {
				return nil, false
			}
			b.remove(displaced)
		}
	}
	b.add(c)
	return displaced, true
}

// displaceable returns the connection that makes room for one of a source that has own: the oldest of the source that has the
// most, of those on which no credential was accepted. It is nil where that source would then have less than the other one.
func (b *boundedSocket) displaceable(own int) *conn {
	var oldest *conn
	most := own + 1
	for _, conns := range b.bySource {
		var first *conn
		n := 0
		for _, c := range conns {
			if c.known.Load() {
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

func (b *boundedSocket) add(c *conn) {
	c.counted = true
	b.all++
	if !c.stranger {
		return
	}
	b.strangers++
	if b.bySource == nil {
		b.bySource = map[netip.Prefix][]*conn{}
	}
	b.bySource[c.source] = append(b.bySource[c.source], c)
}

func (b *boundedSocket) leave(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.counted {
		b.remove(c)
	}
}

func (b *boundedSocket) remove(c *conn) {
	c.counted = false
	b.all--
	if !c.stranger {
		return
	}
	b.strangers--
	rest := slices.DeleteFunc(b.bySource[c.source], func(x *conn) bool { return x == c })
	if b.bySource[c.source] = rest; len(rest) == 0 {
		delete(b.bySource, c.source)
	}
}

// conn is a connection that is closed when it is silent for too long, until a credential was accepted on it. From then on it
// has the deadlines that its server sets, and takes no lock.
type conn struct {
	net.Conn
	idle time.Duration
	from netip.Addr
	left func()
	once sync.Once

	stranger bool // these belong to the socket, and its lock guards them
	source   netip.Prefix
	counted  bool

	known atomic.Bool
	mu    sync.Mutex
	asked time.Time // the deadline that the server has set; zero: none
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if !c.known.Load() {
		if err := c.bound(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// bound sets the deadline of a read by a stranger.
func (c *conn) bound() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Load() {
		return nil
	}
	latest := time.Now().Add(c.idle) //nolint:forbidigo // deadlines of the network are of the real clock
	if !c.asked.IsZero() && c.asked.Before(latest) {
		latest = c.asked
	}
	return c.Conn.SetReadDeadline(latest)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.known.Load() {
		return c.Conn.SetReadDeadline(t)
	}
	c.mu.Lock()
	c.asked = t
	c.mu.Unlock()
	if c.known.Load() {
		return c.Conn.SetReadDeadline(t)
	}
	return c.bound()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// accepted notes that a credential was accepted.
func (c *conn) accepted() {
	if c.known.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Store(true)
	_ = c.Conn.SetReadDeadline(c.asked) //nolint:errcheck // of a connection that has gone
}

// RemoteAddr implements net.Conn. What it returns leads back to the connection.
func (c *conn) RemoteAddr() net.Addr { return address{c.Conn.RemoteAddr(), c} }

// address is the other end of a connection.
type address struct {
	net.Addr
	of *conn
}

// CloseWrite lets net/http tell the other end that nothing more comes, and still read what is on its way.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(c.left)
	return c.Conn.Close()
}

type connKey struct{}

// withConn notes in the context of a connection which one it is.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if at, ok := c.RemoteAddr().(address); ok {
		return context.WithValue(ctx, connKey{}, at.of)
	}
	return ctx
}

// acceptedOn notes that a credential was accepted on the connection of a request.
func acceptedOn(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.accepted()
		return
	}
	if gateway, ok := peer.FromContext(ctx); ok {
		if at, ok := gateway.Addr.(address); ok {
			at.of.accepted()
		}
	}
}

// Bound returns a socket with so many connections at most, and of one address a quarter of them, for servers that verify no
// credentials: a connection is closed when it is silent for half a minute, or displaced.
func Bound(socket net.Listener, most int) net.Listener {
	return &boundedSocket{Listener: socket, max: most, idle: strangerIdle}
}
