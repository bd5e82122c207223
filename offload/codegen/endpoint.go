package codegen

import (
	"context"
	"encoding/binary"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// An Endpoint is the far endpoint of elastic channels as generated code declares it:
// a marked type with state, its native version, and codecs for what crosses the
// network. In is the type of messages, Out that of emitted values.
//
// In its Module an endpoint is three guest functions in a row: Desc.Index handles
// a message, the next one saves the state, the one after it restores a state. An
// instance of the module holds the state of one far endpoint.
type Endpoint[In, Out any] struct {
	offload.Desc
	// New makes a native far endpoint with the state of the type's zero value.
	New func() *Live[In, Out]
	// AppendIn and ReadIn are the codec of In.
	AppendIn func([]byte, In) []byte
	ReadIn   func(*pack.Reader) In
	// AppendOut and ReadOut are the codec of Out.
	AppendOut func([]byte, Out) []byte
	ReadOut   func(*pack.Reader) Out
}

// A Live is a native far endpoint: a value of the marked type. Its functions
// are called by one goroutine at a time.
type Live[In, Out any] struct {
	// Handle handles one message, which belongs to it from then on. It emits zero, one
	// or many values, does not change them afterwards, and stops when emit fails. Its
	// error is part of the message's outcome.
	Handle func(ctx context.Context, in In, emit func(Out) error) error
	// AppendState appends the exported fields' values.
	AppendState func([]byte) []byte
	// ReadState replaces the state by the one that AppendState wrote.
	ReadState func(*pack.Reader)
}

// Save is the index of the guest function that saves an endpoint's state.
func (e *Endpoint[In, Out]) Save() uint32 { return e.Index + 1 }

// Restore is the index of the guest function that restores an endpoint's state.
func (e *Endpoint[In, Out]) Restore() uint32 { return e.Index + 2 }

// Serving is a far endpoint that speaks bytes: the three guest functions of an
// [Endpoint] over one state. Each function appends a reply to dst, as the guest
// ABI has it, and does not keep dst. A request of [pack.OwnedSize] or more is given away: it
// belongs to the function, which may hand parts of it to Handle and to the state. No smaller
// one is kept. One goroutine at a time may use it.
type Serving struct {
	// Handle handles the message in request. Its reply is an outcome.
	Handle func(ctx context.Context, request, dst []byte) []byte
	// Save replies with the state. Its request is empty.
	Save func(ctx context.Context, request, dst []byte) []byte
	// Restore replaces the state by the one in request; an empty request means the
	// zero value's state. Its reply is empty. If the state does not decode, the reply is an
	// error and the state is the zero value's.
	Restore func(ctx context.Context, request, dst []byte) []byte
}

// Serve makes a far endpoint that speaks bytes, with the zero value's state.
// Guests and tests serve with it.
func (e *Endpoint[In, Out]) Serve() Serving {
	s := &served[In, Out]{ep: e, live: e.New()}
	s.emit = func(out Out) error {
		s.dst = e.AppendOut(s.dst, out)
		s.outs++
		return nil
	}
	return Serving{s.handle, s.save, s.restore}
}

// What stands in an outcome before the error of the message's handling.
const (
	failed     = 1 // a code and a text follow
	failedTree = 2 // what AppendError appends follows
)

type served[In, Out any] struct {
	ep   *Endpoint[In, Out]
	live *Live[In, Out]

	in   pack.Reader     // of the message; here, since a local one would escape to ReadIn
	emit func(Out) error // appends to dst
	dst  []byte
	outs uint32
}

func (s *served[In, Out]) handle(ctx context.Context, request, dst []byte) []byte {
	s.in = pack.NewOwnedReader(request)
	in := s.ep.ReadIn(&s.in)
	err := s.in.Done()
	s.in = pack.Reader{}
	if err != nil {
		return abi.AppendError(append(dst, byte(abi.Error)), abi.CodeRequest, "message of "+s.ep.Name+": "+err.Error())
	}
	begin := len(dst)
	s.dst, s.outs = append(dst, byte(abi.OK), 0, 0, 0, 0), 0
	err = s.live.Handle(ctx, in, s.emit)
	dst, s.dst = s.dst, nil
	binary.BigEndian.PutUint32(dst[begin+1:], s.outs)
	if err == nil {
		return dst
	}
	return AppendError(append(dst, failedTree), err)
}

func (s *served[In, Out]) save(_ context.Context, _, dst []byte) []byte {
	return s.live.AppendState(append(dst, byte(abi.OK)))
}

func (s *served[In, Out]) restore(_ context.Context, request, dst []byte) []byte {
	s.live = s.ep.New()
	if err := s.live.load(request, pack.NewOwnedReader(request)); err != nil {
		s.live = s.ep.New()
		return abi.AppendError(append(dst, byte(abi.Error)), "", "state of "+s.ep.Name+": "+err.Error())
	}
	return append(dst, byte(abi.OK))
}

// Load makes a native far endpoint with the state that Save wrote. An empty
// state is the zero value's. The endpoint shares nothing with state.
func (e *Endpoint[In, Out]) Load(state []byte) (*Live[In, Out], error) {
	l := e.New()
	if err := l.load(state, pack.NewReader(state)); err != nil {
		return nil, err
	}
	return l, nil
}

// load reads the state with r.
func (l *Live[In, Out]) load(state []byte, r pack.Reader) error {
	if len(state) == 0 {
		return nil
	}
	l.ReadState(&r)
	return r.Done()
}

// A Status is the first byte of a guest function's reply (docs/abi.md): it says
// whether what follows is a result, an error of the function, or a panic.
type Status = abi.Status

// ReadOutcome reads the outcome of one message, the reply of Serving.Handle: it
// gives each value to emit and returns the error of the message's handling, as [ReadError]
// has it, or a [offload.PanicError] when it panicked. broken says that the bytes are
// no outcome; emit may have been called even so. A payload of [pack.OwnedSize] or more is
// given away: it belongs to the values.
func (e *Endpoint[In, Out]) ReadOutcome(status Status, payload []byte, emit func(Out)) (handled, broken error) {
	switch status {
	case abi.OK:
		return e.readOuts(payload, emit)
	case abi.Error:
		return readError(payload)
	case abi.Panic:
		return panicked(payload), nil
	}
	return nil, abi.ErrReply
}

// readOuts reads a count, that many values, and, if handling failed, the error's mark and
// the error.
func (e *Endpoint[In, Out]) readOuts(payload []byte, emit func(Out)) (handled, broken error) {
	if len(payload) < 4 {
		return nil, abi.ErrReply
	}
	n, values := binary.BigEndian.Uint32(payload), payload[4:]
	if uint64(n) > uint64(len(values)) { // a value takes a byte at least
		return nil, abi.ErrReply
	}
	r := pack.NewOwnedReader(values)
	for range n {
		out := e.ReadOut(&r)
		if r.Err() != nil {
			return nil, r.Err()
		}
		emit(out)
	}
	switch rest := r.Rest(); {
	case len(rest) == 0:
		return nil, nil
	case rest[0] == failed:
		return readError(rest[1:])
	case rest[0] == failedTree:
		r = pack.NewReader(rest[1:])
		if handled = ReadError(&r); r.Done() == nil && handled != nil {
			return handled, nil
		}
	}
	return nil, abi.ErrReply
}
