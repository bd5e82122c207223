package far

import (
	"bytes"
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
	h, state, err := a.save()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(state)
	a.using.acquire()
	if h.Same = a.shown && a.shownSeq == have && sum == a.shownSum; h.Same {
		h.Size, state = 0, nil
	}
	a.shown, a.shownSum, a.shownSeq = true, sum, h.Seq
	a.using.release()
	st.Write(append(wire.AppendState(nil, wire.TypeState, h), state...))
	st.Close()
	a.using.acquire()
	a.shows--
	a.using.release()
	return nil
}

// save copies the state between two messages. It goes on when the UE gives the Snapshot up: to stop it
// would cost the far endpoint its state.
func (a *attachment) save() (h wire.State, state []byte, err error) {
	a.using.acquire()
	defer a.using.release()
	if a.broken != nil {
		return h, nil, errGone // the attachment's own stream tells why
	}
	if a.shows >= maxShows {
		return h, nil, &wire.Fail{Code: offload.CodeOverloaded, Text: "states are still being sent"}
	}
	bounded := deadline.New(a.life, a.far.Limit())
	defer bounded.End()
	begin := time.Now()
	b, err := a.far.Save(bounded)
	if err != nil {
		a.breakLocked(err)
		return h, nil, err
	}
	if len(b) > wire.MaxState { // no snapshot of it can be had, but messages can
		return h, nil, &wire.Fail{Code: offload.CodeTooLarge, Text: fmt.Sprintf("state of %d bytes, over %d", len(b), wire.MaxState)}
	}
	a.shows++
	return wire.State{Seq: a.seq, Took: time.Since(begin), Size: len(b)}, bytes.Clone(b), nil
}
