package far

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Config configures a [Server]. Open must be set.
type Config struct {
	// Call runs a call and makes the frame that answers it: a Result and its reply. Its
	// error, a *wire.Fail or else an internal error, is sent in place of a Result. ctx ends
	// when the UE cancels the call. Call keeps neither request nor reply. Nil refuses all calls.
	Call func(ctx context.Context, c wire.Call, request []byte, reply *Reply) error
	// Open makes a far endpoint: the one whose first guest function is fn of the
	// module. It returns when an instance is warm. ctx ends when the UE cancels it.
	Open func(ctx context.Context, module offload.Digest, fn uint32) (Endpoint, error)
	// Endpoints is how many far endpoints a UE may have at once. Zero means 1024.
	Endpoints int
	// MessageBytes is how many bytes of messages a UE may send to a far endpoint before
	// they are handled. Zero means 4 MiB.
	MessageBytes int
	// Memory is what is held for the UE's tenant: requests, messages, states, replies. Nil
	// bounds nothing.
	Memory *budget.Share
	// Logger receives a record for each request that breaks the protocol, and for each
	// Attach that is refused, of the Level that belongs to it. Nil is silent.
	Logger *slog.Logger
	// Refused, which many goroutines call, is told the code of each of these before the UE is, which waits
	// for it. ctx ends with the stream. Nil is told nothing.
	Refused func(ctx context.Context, code offload.Code)
}

func (c Config) withDefaults() Config {
	if c.Endpoints <= 0 {
		c.Endpoints = 1024
	}
	if c.MessageBytes <= 0 {
		c.MessageBytes = 4 << 20
	}
	if c.Call == nil {
		c.Call = func(context.Context, wire.Call, []byte, *Reply) error {
			return protocol("no calls are served here")
		}
	}
	if c.Refused == nil {
		c.Refused = func(context.Context, offload.Code) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Server serves the streams of one UE. It may be used by many goroutines at once.
//
// A peer that breaks the protocol loses the stream concerned, and with an Attach's the
// far endpoint, and is told so. What is held for the peer is acquired from Config.Memory
// first: a request, a message or a state before it is read, a reply, an outcome or a state
// before it is copied. It is let go when it was written, or when the peer stops in the middle
// (wire.ReadPaced). What the streams themselves buffer is not counted here.
type Server struct {
	cfg Config

	mu       sync.Mutex
	closed   bool
	draining string // why it takes no new far endpoint; "": it does
	attached map[uint64]*attachment
	wg       sync.WaitGroup // attached
}

// NewServer returns a server without far endpoints.
func NewServer(cfg Config) *Server {
	return &Server{cfg: cfg.withDefaults(), attached: map[uint64]*attachment{}}
}

// Serve answers what the UE asks on st, whose first frame's type t has been read. It
// returns when the stream has ended. What is done for the stream ends with ctx.
func (s *Server) Serve(ctx context.Context, t wire.Type, st Stream) {
	st.SetReadDeadline(time.Now().Add(wire.FrameTimeout))
	switch t {
	case wire.TypeCall:
		s.calls(ctx, st)
	case wire.TypeAttach:
		s.attach(ctx, st)
	case wire.TypeSingle:
		st.SetWriteDeadline(time.Now().Add(wire.BulkTimeout))
		s.single(ctx, st)
	case wire.TypePart:
		st.SetWriteDeadline(time.Now().Add(wire.BulkTimeout))
		s.part(ctx, st)
	case wire.TypeSnapshot:
		st.SetWriteDeadline(time.Now().Add(wire.BulkTimeout))
		s.snapshot(st)
	default:
		s.refuse(ctx, st, protocol("no request begins with frame 0x%02x", t))
	}
	finish(st)
}

// finish ends a stream whose request has been answered. It first reads what the UE still
// sends: a UE whose write fails would not read the answer.
func finish(st Stream) {
	st.Close()
	st.SetReadDeadline(time.Now().Add(wire.FrameTimeout))
	io.Copy(io.Discard, st)
	st.CloseRead()
}

// refuse answers a request with err and logs it. ctx is the stream's.
func (s *Server) refuse(ctx context.Context, st Stream, err error) {
	fail := wire.FailOf(err)
	s.cfg.Refused(ctx, fail.Code)
	s.cfg.Logger.Log(ctx, Level(ctx, fail), "request refused", "code", fail.Code.String(), "why", fail.Text)
	refuse(st, fail)
}

// Level returns how a host logs a request that failed: one that the UE gave up, so that ctx
// has ended, and one that was late are everyday.
func Level(ctx context.Context, fail *wire.Fail) slog.Level {
	switch {
	case ctx.Err() != nil:
		return slog.LevelDebug
	case fail.Code == offload.CodeDeadline:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// refuse answers a request with err.
func refuse(st Stream, err error) {
	st.SetWriteDeadline(time.Now().Add(wire.FrameTimeout))
	if _, err := st.Write(wire.AppendFail(nil, *wire.FailOf(err))); err != nil {
		st.Reset()
		return
	}
	st.Close()
}

func protocol(format string, args ...any) error {
	return &wire.Fail{Code: offload.CodeProtocol, Text: fmt.Sprintf(format, args...)}
}

// Drain tells the UE to move its far endpoints elsewhere, and takes no new ones. It
// serves those that it has until they have left.
func (s *Server) Drain(reason string) {
	s.mu.Lock()
	s.draining = reason
	var all []*attachment
	for _, a := range s.attached {
		all = append(all, a)
	}
	s.mu.Unlock()
	var told sync.WaitGroup
	for _, a := range all { // at once: one may have to wait until its UE reads
		told.Go(func() { a.halt(0, &wire.Fail{Code: offload.CodeDraining, Text: reason}) })
	}
	told.Wait()
}

// SendAway tells the UE to move those of its far endpoints elsewhere that which names, and ends those
// that have not left when ctx ends. Unlike Drain it goes on to take new ones.
func (s *Server) SendAway(ctx context.Context, reason string, which func(Endpoint) bool) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.attached))
	s.mu.Unlock()
	var told sync.WaitGroup
	for _, a := range all {
		told.Go(func() {
			if !a.is(which) {
				return
			}
			a.halt(0, &wire.Fail{Code: offload.CodeDraining, Text: reason})
			select {
			case <-a.life.Done():
			case <-ctx.Done():
				a.st.Reset()
			}
		})
	}
	told.Wait()
}

// Close takes no new far endpoint, ends the streams of all it has, and returns when the
// last one is freed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, a := range s.attached {
		a.st.Reset()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// add enters an attachment.
func (s *Server) add(a *attachment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.draining != "":
		return &wire.Fail{Code: offload.CodeDraining, Text: s.draining}
	case len(s.attached) >= s.cfg.Endpoints:
		return &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("a UE may have %d far endpoints", s.cfg.Endpoints)}
	case s.attached[a.ID] != nil:
		return protocol("attachment exists")
	}
	s.attached[a.ID] = a
	s.wg.Add(1)
	return nil
}

// drop removes an attachment and frees its far endpoint.
func (s *Server) drop(a *attachment) {
	s.mu.Lock()
	delete(s.attached, a.ID)
	s.mu.Unlock()
	a.free()
	s.wg.Done()
}

// find returns the attachment with that ID.
func (s *Server) find(id uint64) (*attachment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.attached[id]; a != nil {
		return a, nil
	}
	return nil, errGone
}

// errGone answers a request for an attachment that does not exist.
var errGone = &wire.Fail{Code: wire.CodeGone}
