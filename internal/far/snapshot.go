package far

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/deadline"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// snapshot answers a Snapshot on st.
func (s *Server) snapshot(st Stream) {
	q, err := wire.ReadSnapshot(st)
	if err != nil {
		refuse(st, err)
		return
	}
	a, err := s.find(q.ID)
	if err != nil {
		refuse(st, err)
		return
	}
	if err := a.show(st, q.Have); err != nil {
		a.fail(st, err)
	}
}

// maxShows bounds the copies of a far endpoint's state that are on their way.
const maxShows = 4

// show sends the state. If the UE has the last state sent, that of message have, and it
// has not changed, show sends only that. Its error says why it sent nothing.
func (a *attachment) show(st Stream, have uint64) error {
	var frame buffer
	defer frame.drop()
	h, err := a.save(&frame)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(frame.b[len(frame.b)-h.Size:])
	a.using.acquire()
	if h.Same = a.shown && a.shownSeq == have && sum == a.shownSum; h.Same {
		h.Size = 0
		frame.drop()
		frame.b = wire.AppendState(nil, wire.TypeState, h)
	}
	a.shown, a.shownSum, a.shownSeq = true, sum, h.Seq
	a.using.release()
	wire.WritePaced(st, frame.b)
	st.Close()
	a.using.acquire()
	a.shows--
	a.using.release()
	return nil
}

// save copies the state between two messages, with its header, into frame. It goes on when the
// UE gives the Snapshot up: to stop it would cost the far endpoint its state. It does not wait
// for room, since messages wait for it.
func (a *attachment) save(frame *buffer) (h wire.State, err error) {
	a.using.acquire()
	defer a.using.release()
	if a.broken != nil {
		return h, errGone // the attachment's own stream tells why
	}
	if a.shows >= maxShows {
		return h, &wire.Fail{Code: offload.CodeOverloaded, Text: "states are still being sent"}
	}
	bounded := deadline.New(a.life, a.far.Limit())
	defer bounded.End()
	begin := time.Now()
	b, err := a.far.Save(bounded)
	if err != nil {
		a.breakLocked(err)
		return h, err
	}
	if len(b) > wire.MaxState { // no snapshot of it can be had, but messages can
		return h, &wire.Fail{Code: offload.CodeTooLarge, Text: fmt.Sprintf("state of %d bytes, over %d", len(b), wire.MaxState)}
	}
	h = wire.State{Seq: a.seq, Took: time.Since(begin), Size: len(b)}
	if err := frame.trySize(a.memory, len(b)+stateRoom); err != nil {
		return h, err
	}
	a.shows++
	frame.b = append(wire.AppendState(frame.b[:0], wire.TypeState, h), b...)
	return h, nil
}

// stateRoom is room in a buffer for the header of a State.
const stateRoom = 32
