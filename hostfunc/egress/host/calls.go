package host

import (
	"context"
	"fmt"
	"math"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/egress"
)

type httpIn struct {
	Method, URL, Header string
	Body                []byte
	Timeout             int64
}

// http makes a request and gives a handle of its response, for the rest of the call.
func (s *state) http(ctx context.Context, in httpIn) (int, error) {
	s.known(ctx)
	r := egress.Request{Method: in.Method, URL: in.URL, Body: in.Body}
	if err := r.Header.UnmarshalText([]byte(in.Header)); err != nil {
		return 0, fmt.Errorf("%w: %w", errArgument, err)
	}
	err := s.share.call()
	if err != nil {
		return 0, err
	}
	bounded, cancel := within(ctx, in.Timeout)
	if err = s.pay(bounded, len(in.Body)); err != nil {
		cancel()
		return 0, err
	}
	h := &handle{cancel: cancel, tenant: s.tenant, held: int64(len(in.Body)) + openingCost}
	if err = s.hold(h.held); err != nil {
		cancel()
		return 0, err
	}
	executor.Aside(ctx, func() { h.stream, err = s.client.Open(bounded, r) })
	if err != nil {
		h.shrink(0)
		cancel()
		return 0, err
	}
	if h.header, err = h.stream.Header.MarshalText(); err != nil {
		h.close()
		return 0, err
	}
	h.shrink(int64(len(in.Body)) + 3*int64(len(h.header)))
	return s.add(h)
}

// response returns the response that a handle is for.
func (s *state) response(n uint32) (*handle, error) {
	h, err := s.find(n)
	if err == nil && h.stream == nil {
		err = fmt.Errorf("%w: handle %d is for a connection", errArgument, n)
	}
	return h, err
}

type handleIn struct{ Handle uint32 }

// status returns the status of a response.
func (s *state) status(_ context.Context, in handleIn) (int, error) {
	h, err := s.response(in.Handle)
	if err != nil {
		return 0, err
	}
	return h.stream.Status, nil
}

type headerIn struct {
	Handle uint32
	Buf    []byte
}

// header returns how long the header of a response is, and copies it if there is room.
func (s *state) header(_ context.Context, in headerIn) (int, error) {
	h, err := s.response(in.Handle)
	if err != nil {
		return 0, err
	}
	if len(in.Buf) >= len(h.header) {
		copy(in.Buf, h.header)
	}
	return len(h.header), nil
}

type dialIn struct {
	Address string
	Timeout int64
}

// dial opens a connection and gives a handle of it, for as long as the instance lives.
func (s *state) dial(ctx context.Context, in dialIn) (int, error) {
	s.known(ctx)
	err := s.share.call()
	if err != nil {
		return 0, err
	}
	bounded, cancel := within(ctx, in.Timeout)
	defer cancel()
	if err = s.pay(bounded, 0); err != nil {
		return 0, err
	}
	h := &handle{}
	executor.Aside(ctx, func() { h.conn, err = s.client.Dial(bounded, in.Address) })
	if err != nil {
		return 0, err
	}
	return s.add(h)
}

type moveIn struct {
	Handle  uint32
	Data    []byte
	Timeout int64
}

// read reads a response or from a connection. 0 is the end.
func (s *state) read(ctx context.Context, in moveIn) (n int, err error) {
	h, err := s.find(in.Handle)
	if err != nil || len(in.Data) == 0 {
		return 0, err
	}
	buf := in.Data[:min(len(in.Data), s.piece())]
	if h.stream != nil {
		defer context.AfterFunc(ctx, h.cancel)() // ctx may be of a later call than the request's
		if err := s.pay(ctx, 0); err != nil {
			return 0, err
		}
		executor.Aside(ctx, func() { n, err = h.stream.Read(buf) })
		return moved(n, err)
	}
	return s.during(ctx, h, in.Timeout, h.conn.Read, buf, 0)
}

// piece is the most that is moved at once: little if bytes are bounded, since those that are
// received count afterwards.
func (s *state) piece() int {
	if s.share == nil {
		return math.MaxInt32
	}
	return 64 << 10
}

// write writes to a connection.
func (s *state) write(ctx context.Context, in moveIn) (int, error) {
	h, err := s.find(in.Handle)
	if err != nil {
		return 0, err
	}
	if h.conn == nil {
		return 0, fmt.Errorf("%w: handle %d is for a response", errArgument, in.Handle)
	}
	if len(in.Data) == 0 {
		return 0, nil
	}
	data := in.Data[:min(len(in.Data), s.piece())]
	return s.during(ctx, h, in.Timeout, h.conn.Write, data, len(data))
}

// during moves bytes of h's connection until ctx ends, or the timeout. sent is how many of
// them are known to be sent.
func (s *state) during(ctx context.Context, h *handle, timeout int64, move func([]byte) (int, error), p []byte, sent int) (n int, err error) {
	bounded, cancel := within(ctx, timeout)
	defer cancel()
	if err := s.pay(bounded, sent); err != nil {
		return 0, err
	}
	h.conn.Bind(bounded)
	executor.Aside(ctx, func() { n, err = move(p) })
	return moved(n, err)
}

// drop closes a handle.
func (s *state) drop(_ context.Context, in handleIn) (int, error) {
	h, err := s.find(in.Handle)
	if err != nil {
		return 0, err
	}
	s.open[in.Handle-1] = nil
	h.close()
	return 0, nil
}

type lastErrorIn struct{ Buf []byte }

// lastError copies the text of the last error, cut to the room there is.
func (s *state) lastError(_ context.Context, in lastErrorIn) (int32, error) {
	return int32(copy(in.Buf, s.last)), nil
}
