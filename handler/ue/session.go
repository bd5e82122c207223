package ue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A session is the UE's side of its connections to an edge host: one, and as many
// more as there are stripes. It ends with the first of them that ends.
type session struct {
	transport link.Transport
	addr      *net.UDPAddr // of its TCP, too
	id        uint64       // joins the connections on the host
	host      string       // its name
	lifeline  int          // the TCP port of its lifelines; 0: it has none
	key       link.LifelineKey
	leave     chan string // receives the reason once the host says go away; cap 1: said once

	strands atomic.Pointer[[]*strand] // never empty; each set of them is immutable
	turn    atomic.Uint32             // of the strands, for streams
	moving  chan struct{}             // held while paths are changed; cap 1
	moved   chan struct{}             // cap 1: a note that a path has changed

	wg   sync.WaitGroup // listen
	lost chan struct{}  // closed once the session is lost

	mu      sync.Mutex
	had     map[offload.Digest]error // the modules that the host had at the begin, as a view has them
	why     error                    // of lost
	watches map[*func()]struct{}     // called when a path has changed
	users   int                      // calls in flight, and ready hosts in use
	leaving bool                     // no new ones
	idle    chan struct{}            // closed when leaving is set and users is 0
}

// A strand is one connection of a session.
//
// It is moved to another socket once it is connected: only a connection that has
// been moved before can leave a dead network with much under way (package link).
type strand struct {
	conn *link.Conn
	path *path // that it was moved to, nil at first; guarded by the session's moving

	mu     sync.Mutex
	idle   []*callStream // no call is under way on them; in the order in which they came back
	large  int           // calls under way whose frames are large
	newest int64         // the highest number of theirs
}

// errLeft ends a session in order, and is told to the host.
var errLeft = errors.New("the UE has left")

// enter counts one more user: a call, or a ready host. It fails once the session is being left.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.users++
	return true
}

func (s *session) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.leaving && s.users == 0 {
		close(s.idle)
	}
}

// quit lets no new call begin. The channel it returns is closed when the last
// one has ended. It is called once.
func (s *session) quit() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	if s.users == 0 {
		close(s.idle)
	}
	return s.idle
}

// watch calls changed at each change of a path, until stop is called.
func (s *session) watch(changed func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches == nil {
		s.watches = map[*func()]struct{}{}
	}
	s.watches[&changed] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, &changed)
	}
}

// rerouted tells those who watch that a path has changed.
func (s *session) rerouted() {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.watches))
	s.mu.Unlock()
	for _, changed := range all {
		(*changed)()
	}
}

// lose marks the session as lost. The first reason counts.
func (s *session) lose(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = why
		close(s.lost)
	}
}

func (s *session) isLost() bool {
	select {
	case <-s.lost:
		return true
	default:
		return false
	}
}

// err returns why the session was lost. It is called after that.
func (s *session) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

func newSession(over link.Transport, addr *net.UDPAddr) *session {
	s := &session{
		transport: over, addr: addr,
		id:    rand.Uint64() | 1, // 0 means no session
		leave: make(chan string, 1), moving: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		lost: make(chan struct{}), idle: make(chan struct{}),
		had: map[offload.Digest]error{},
	}
	s.strands.Store(new([]*strand))
	return s
}

// join says hello on a connection and adds it to the session once the handshake is
// confirmed. The connection then belongs to the session, also when join fails.
func (s *session) join(ctx context.Context, st *strand, hello wire.Hello) (w wire.Welcome, err error) {
	hello.Session = s.id
	var greeted link.Stream
	err = st.conn.Early(ctx, func(stream link.Stream) (err error) {
		greeted = stream
		w, err = control.Hello(ctx, stream, hello)
		return err
	})
	if err == nil {
		err = confirmed(ctx, st.conn)
	}
	if err == nil {
		err = s.add(st, greeted)
	}
	if err != nil {
		st.conn.Close("hello failed")
		return w, fmt.Errorf("hello: %w", link.Explain(err))
	}
	return w, nil
}

// only makes st the only connection of the session, without a hello. The connection then belongs to the session,
// or has ended.
func (s *session) only(ctx context.Context, st *strand) error {
	if err := confirmed(ctx, st.conn); err != nil {
		st.conn.Close("no handshake")
		return link.Explain(err)
	}
	s.strands.Store(&[]*strand{st})
	return nil
}

// confirmed waits for the end of the handshake of c. What it brings before may be a
// replay of another connection.
func confirmed(ctx context.Context, c *link.Conn) error {
	select {
	case <-c.Confirmed():
		return nil
	case <-c.Done():
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add fails on a session that is lost.
func (s *session) add(st *strand, greeted link.Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	all := append(slices.Clone(*s.strands.Load()), st)
	s.strands.Store(&all)
	s.wg.Go(func() { s.listen(st.conn, greeted) })
	return nil
}

// listen waits on a connection's first stream for the host to say go away, and
// then for the connection's end.
func (s *session) listen(c *link.Conn, st link.Stream) {
	if reason, err := control.AwaitGoAway(st); err == nil {
		select {
		case s.leave <- reason:
		default: // said on another connection
		}
	}
	<-c.Done()
	s.lose(c.Err())
}

// abandon ends the connections to a host that is gone. Whoever waits for an answer
// gets the error at once.
func (s *session) abandon(why error) {
	s.lose(why)
	for _, st := range *s.strands.Load() {
		st.conn.Close(why.Error())
	}
}

// checkPeer says why the host would not be accepted any longer. Then a connection has ended.
func (s *session) checkPeer() error {
	for _, st := range *s.strands.Load() {
		if why := st.conn.PeerFault(); why != nil {
			st.conn.Dismiss(why)
			return why
		}
	}
	return nil
}

// close ends the session.
func (s *session) close() {
	s.abandon(errLeft)
	s.wg.Wait()
}

// next returns the strand whose turn it is.
func (s *session) next() *strand {
	all := *s.strands.Load()
	return all[int(s.turn.Add(1))%len(all)]
}

// open opens a stream on the connection whose turn it is.
func (s *session) open(ctx context.Context) (link.Stream, error) { return s.next().conn.Open(ctx) }
