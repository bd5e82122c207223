package elastic

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// ServerConfig configures a [Server]. Open must be set.
type ServerConfig struct {
	// Open makes a far endpoint: the one whose first guest function is fn of the
	// module. It returns when an instance is warm. ctx ends with the UE's patience.
	Open func(ctx context.Context, module offload.Digest, fn uint32) (Far, error)
	// Endpoints is how many far endpoints a UE may have at once. Zero means 1024.
	Endpoints int
	// MessageBytes is how many bytes of messages a UE may send ahead of what has
	// been handled, for each far endpoint. Zero means 4 MiB.
	MessageBytes int
}

// A Server is the host's end of the elastic channels of one UE. The host gives it
// the UE's streams; it serves each until that ends. It may be used by many
// goroutines at once.
//
// A peer that breaks the protocol loses the far endpoint concerned, and is told so.
// Memory is bounded by one message and one reply a far endpoint, and by what the
// streams themselves buffer: a peer that sends beyond its credit waits for those.
type Server struct {
	cfg ServerConfig

	mu       sync.Mutex
	closed   bool
	draining string // why it takes no more; "": it does
	ends     map[uint64]*farEnd
	wg       sync.WaitGroup
}

// NewServer returns a server without far endpoints.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Endpoints <= 0 {
		cfg.Endpoints = 1024
	}
	if cfg.MessageBytes <= 0 {
		cfg.MessageBytes = 4 << 20
	}
	return &Server{cfg: cfg, ends: map[uint64]*farEnd{}}
}

// A farEnd is a far endpoint at work for an attachment.
type farEnd struct {
	wire.Attach
	st Stream

	writing lock // one frame at a time goes out

	using    lock // the far endpoint is used; guards what follows
	far      Far
	broken   error // of no more use
	epoch    uint32
	seq      uint64            // the state is as of this message
	shown    bool              // a State has been sent since the last Restore
	shownSeq uint64            // its message
	shownSum [sha256.Size]byte // of the state
	shows    int               // States that are being sent

	come arrivals // mode Latest
}

// Attach serves a far endpoint on st, whose frame type has been read, until the
// stream ends. ctx ends when nobody waits any more.
func (s *Server) Attach(ctx context.Context, st Stream) {
	e, err := s.open(ctx, st)
	if err != nil {
		refuse(st, err)
		return
	}
	defer s.drop(e)
	credit := wire.Credit{Messages: uint64(e.Window), Bytes: uint64(s.cfg.MessageBytes)}
	if e.send(wire.AppendCredit(nil, wire.TypeAttached, credit)) != nil {
		return
	}
	halt := wire.Halt{}
	if err := s.serve(ctx, e, credit, &halt.Seq); err != nil {
		halt.Fail = failOf(err)
		e.send(wire.AppendHalt(nil, halt))
	}
	st.Close()
}

func (s *Server) open(ctx context.Context, st Stream) (*farEnd, error) {
	a, err := wire.ReadAttach(st)
	if err != nil {
		return nil, err
	}
	e := &farEnd{Attach: a, st: st, broken: errGone, writing: newLock(), using: newLock()}
	if err := s.add(e); err != nil {
		return nil, err
	}
	far, err := s.cfg.Open(ctx, a.Module, a.Fn)
	if err != nil {
		s.drop(e)
		return nil, err
	}
	e.using.acquire()
	e.far, e.broken = far, nil
	e.using.release()
	return e, nil
}

func (s *Server) add(e *farEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.draining != "":
		return &wire.Fail{Code: wire.CodeDraining, Text: s.draining}
	case len(s.ends) >= s.cfg.Endpoints:
		return &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("a UE may have %d far endpoints", s.cfg.Endpoints)}
	case s.ends[e.ID] != nil:
		return &wire.Fail{Code: wire.CodeProtocol, Text: "attachment exists"}
	}
	s.ends[e.ID] = e
	s.wg.Add(1)
	return nil
}

// drop frees a far endpoint.
func (s *Server) drop(e *farEnd) {
	s.mu.Lock()
	delete(s.ends, e.ID)
	s.mu.Unlock()
	e.using.acquire()
	if e.far != nil {
		e.far.Close()
	}
	e.far, e.broken = nil, errGone
	e.using.release()
	s.wg.Done()
}

// errGone answers what comes for an attachment that is not there.
var errGone = &wire.Fail{Code: wire.CodeGone}

// find returns the far endpoint of attachment id.
func (s *Server) find(id uint64) (*farEnd, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.ends[id]; e != nil {
		return e, nil
	}
	return nil, errGone
}

// Drain tells the UE that its far endpoints are to go elsewhere, and takes no new
// ones. Those there are served until they have gone.
func (s *Server) Drain(reason string) {
	s.mu.Lock()
	s.draining = reason
	var all []*farEnd
	for _, e := range s.ends {
		all = append(all, e)
	}
	s.mu.Unlock()
	halt := wire.AppendHalt(nil, wire.Halt{Fail: wire.Fail{Code: wire.CodeDraining, Text: reason}})
	for _, e := range all {
		e.send(halt)
	}
}

// Close takes no more, ends all streams and returns when the last far endpoint is
// freed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, e := range s.ends {
		e.st.Reset()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// serve handles what comes on an attachment's stream. It returns nil when the UE
// ends it. *at is the message that it is about.
func (s *Server) serve(ctx context.Context, e *farEnd, credit wire.Credit, at *uint64) error {
	r := bufio.NewReaderSize(e.st, 2<<10)
	var payload, out []byte
	granted, taken := credit, wire.Credit{}
	for {
		*at = 0
		t, err := wire.ReadType(r)
		if err != nil {
			return nil // the UE is done with it, or gone
		}
		switch {
		case t == wire.TypeRestore:
			if payload, err = e.restore(ctx, r, payload); err != nil {
				return err
			}
			if err := e.send(wire.AppendCredit(nil, wire.TypeCredit, granted)); err != nil {
				return nil
			}
			continue
		case t != wire.TypeMessage || e.Latest:
			return protocol("frame 0x%02x on a channel's stream", t)
		}
		m, err := wire.ReadMessage(r)
		if err != nil {
			return err
		}
		*at = m.Seq
		if payload, err = wire.ReadPayload(r, payload, m.Size); err != nil {
			return err
		}
		if out, err = e.message(ctx, m, payload, out[:0]); err != nil {
			return err
		}
		taken.Messages++
		taken.Bytes += uint64(m.Size)
		if more := s.grant(e, taken); m.Quiet && r.Buffered() == 0 || s.worth(e, granted, more) {
			granted = more
			out = wire.AppendCredit(out, wire.TypeCredit, granted)
		}
		if len(out) > 0 {
			if e.send(out) != nil {
				return nil
			}
		}
		if cap(payload)+cap(out) > keepBuffer {
			payload, out = nil, nil
		}
	}
}

// grant returns the credit after what was taken.
func (s *Server) grant(e *farEnd, taken wire.Credit) wire.Credit {
	return wire.Credit{
		Messages: taken.Messages + uint64(e.Window),
		Bytes:    taken.Bytes + uint64(s.cfg.MessageBytes),
		Done:     taken.Messages,
	}
}

// worth says whether more is worth a frame: half of what was granted is used.
func (s *Server) worth(e *farEnd, granted, more wire.Credit) bool {
	return 2*(more.Messages-granted.Messages) >= uint64(e.Window) || 2*(more.Bytes-granted.Bytes) >= uint64(s.cfg.MessageBytes)
}

// message handles m, and appends the frame that answers it to dst.
func (e *farEnd) message(ctx context.Context, m wire.Message, payload, dst []byte) ([]byte, error) {
	e.using.acquire()
	defer e.using.release()
	if m.Epoch < e.epoch || m.Seq != e.seq+1 {
		return dst, protocol("message %d of epoch %d after %d of epoch %d", m.Seq, m.Epoch, e.seq, e.epoch)
	}
	e.epoch = m.Epoch
	if m.Skip {
		e.seq = m.Seq
		return dst, nil
	}
	return e.handleLocked(ctx, m, payload, dst)
}

func (e *farEnd) handleLocked(ctx context.Context, m wire.Message, payload, dst []byte) ([]byte, error) {
	if e.broken != nil {
		return dst, e.broken
	}
	begin := time.Now()
	status, reply, err := e.handle(ctx, payload)
	if err == nil && status == abi.Panic {
		err = &wire.Fail{Code: wire.CodeTrap, Started: true, Text: string(reply[:min(len(reply), wire.MaxText)])}
	}
	if err == nil && len(reply) > wire.MaxPayload {
		err = &wire.Fail{Code: wire.CodeTooLarge, Started: true, Text: "outcome of a message"}
	}
	if err != nil {
		e.broken = err
		return dst, err
	}
	e.seq = m.Seq
	if m.Quiet {
		return dst, nil
	}
	o := wire.Outcome{Epoch: m.Epoch, Seq: m.Seq, Status: byte(status), Run: time.Since(begin), Size: len(reply)}
	return append(wire.AppendOutcome(dst, o), reply...), nil
}

// handle is the far endpoint's Handle, within the channel's deadline.
func (e *farEnd) handle(ctx context.Context, payload []byte) (offload.Status, []byte, error) {
	if e.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.Deadline)
		defer cancel()
	}
	return e.far.Handle(ctx, payload)
}

// restore reads a state and gives it to the far endpoint.
func (e *farEnd) restore(ctx context.Context, r *bufio.Reader, buf []byte) ([]byte, error) {
	h, err := wire.ReadState(r)
	if err == nil && h.Same {
		err = protocol("a Restore says that its state is the same")
	}
	if err != nil {
		return buf, err
	}
	if buf, err = wire.ReadPayload(r, buf, h.Size); err != nil {
		return buf, err
	}
	e.using.acquire()
	defer e.using.release()
	if e.broken != nil {
		return buf, e.broken
	}
	if err := e.far.Restore(ctx, buf); err != nil {
		e.broken = err
		return buf, err
	}
	e.seq, e.shown = h.Seq, false
	return buf, nil
}

// Snapshot answers a Snapshot on st, whose frame type has been read.
func (s *Server) Snapshot(ctx context.Context, st Stream) {
	q, err := wire.ReadSnapshot(st)
	if err != nil {
		refuse(st, err)
		return
	}
	e, err := s.find(q.ID)
	if err == nil {
		err = e.show(ctx, st, q.Have)
	}
	if err != nil {
		refuse(st, err)
	}
}

// maxShows bounds the copies of a far endpoint's state that are on their way.
const maxShows = 4

// show sends the state, unless it is the one as of message have that was sent
// last. Its error says why nothing was sent.
func (e *farEnd) show(ctx context.Context, st Stream, have uint64) error {
	h, state, err := e.save(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(state)
	e.using.acquire()
	if h.Same = e.shown && e.shownSeq == have && sum == e.shownSum; h.Same {
		h.Size, state = 0, nil
	}
	e.shown, e.shownSum, e.shownSeq = true, sum, h.Seq
	e.using.release()
	st.Write(append(wire.AppendState(nil, wire.TypeState, h), state...))
	st.Close()
	e.using.acquire()
	e.shows--
	e.using.release()
	return nil
}

// save copies the state between two messages.
func (e *farEnd) save(ctx context.Context) (h wire.State, state []byte, err error) {
	e.using.acquire()
	defer e.using.release()
	if e.broken != nil {
		return h, nil, e.broken
	}
	if e.shows >= maxShows {
		return h, nil, &wire.Fail{Code: wire.CodeOverloaded, Text: "states are still being sent"}
	}
	begin := time.Now()
	b, err := e.far.Save(ctx)
	if err == nil && len(b) > wire.MaxState {
		err = &wire.Fail{Code: wire.CodeTooLarge, Text: fmt.Sprintf("state of %d bytes, over %d", len(b), wire.MaxState)}
	}
	if err != nil {
		e.broken = err
		return h, nil, err
	}
	e.shows++
	return wire.State{Seq: e.seq, Took: time.Since(begin), Size: len(b)}, bytes.Clone(b), nil
}

func (e *farEnd) send(frame []byte) error {
	e.writing.acquire()
	defer e.writing.release()
	_, err := e.st.Write(frame)
	return err
}

func protocol(format string, args ...any) error {
	return &wire.Fail{Code: wire.CodeProtocol, Text: fmt.Sprintf(format, args...)}
}

// refuse answers a request with err.
func refuse(st Stream, err error) {
	if _, err := st.Write(wire.AppendFail(nil, failOf(err))); err != nil {
		st.Reset()
		return
	}
	st.Close()
}

// failOf returns the Fail that says err to the UE.
func failOf(err error) wire.Fail {
	var f *wire.Fail
	switch {
	case errors.As(err, &f):
		return *f
	case errors.Is(err, wire.ErrFrame):
		return wire.Fail{Code: wire.CodeProtocol, Text: err.Error()}
	}
	return wire.Fail{Code: wire.CodeInternal, Text: err.Error()}
}
