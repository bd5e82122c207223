package control

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A Conversation is what an offload manager and a UE or an edge host say to each other, on one stream
// of their connection, which the UE or host has opened. One goroutine calls Next; any may Send.
//
// It knows no order of frames: each stands for itself, and both ends may say them at any time. A peer
// that is silent is waited for as long as the connection lasts.
type Conversation struct {
	st   link.Stream
	from []wire.Type // what the peer may say

	before wire.ManagerFrame // the frames of a list that has not ended; for Next

	mu      sync.Mutex // held while a frame is written; leaf
	refused bool
}

// What each end may say to the other.
var (
	FromUE        = []wire.Type{wire.TypeEnrol, wire.TypeAsk, wire.TypeFeel, wire.TypeBye}
	FromHost      = []wire.Type{wire.TypeEnrol, wire.TypeRegister, wire.TypeHolding, wire.TypeBeat, wire.TypeDid}
	FromStranger  = []wire.Type{wire.TypeEnrol}
	ManagerToUE   = []wire.Type{wire.TypeCert, wire.TypeCandidates, wire.TypePlace}
	ManagerToHost = []wire.Type{wire.TypeCert, wire.TypeAdopted, wire.TypeOrder}
)

// Converse begins a conversation on st, whose peer may say what is in from.
func Converse(st link.Stream, from []wire.Type) *Conversation {
	return &Conversation{st: st, from: from}
}

// Next returns what the peer says next, lists whole. A Fail of the peer is returned as *wire.Fail, what it
// may not say as wire.ErrFrame. After an error nothing more comes; the caller then calls Refuse or Close.
func (c *Conversation) Next() (wire.ManagerFrame, error) {
	for {
		f, err := c.read()
		if err != nil {
			return nil, err
		}
		whole, more, err := wire.Join(c.before, f)
		if err != nil {
			return nil, err
		}
		if c.before = whole; !more {
			c.before = nil
			return whole, nil
		}
	}
}

// read reads a frame. One that has begun, and a list that has, must go on within wire.FrameTimeout.
func (c *Conversation) read() (wire.ManagerFrame, error) {
	var begin time.Time
	if c.before != nil {
		begin = soon()
	}
	c.st.SetReadDeadline(begin)
	t, err := wire.ReadType(c.st)
	if err != nil {
		return nil, err
	}
	if t != wire.TypeFail && !slices.Contains(c.from, t) {
		return nil, fmt.Errorf("%w: the peer may not say 0x%02x", wire.ErrFrame, t)
	}
	c.st.SetReadDeadline(soon())
	return wire.ReadManagerFrame(c.st, t)
}

// Send says f, in several frames if its lists are long. It fails when f breaks a bound, which ends nothing,
// and when the peer does not take it within wire.FrameTimeout, which ends the conversation.
func (c *Conversation) Send(f wire.ManagerFrame) error {
	var b []byte
	for _, part := range wire.Cut(f) {
		var err error
		if b, err = wire.AppendManagerFrame(b, part); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := wire.WritePaced(c.st, b); err != nil {
		c.st.Reset()
		return err
	}
	return nil
}

// Refuse ends the conversation with a Fail that tells err, and returns that. Only the first one is told.
func (c *Conversation) Refuse(err error) *wire.Fail {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return wire.FailOf(err)
	}
	c.refused = true
	return Refuse(c.st, err)
}

// Close ends the conversation. A Next or a Send under way fails.
func (c *Conversation) Close() { c.st.Reset() }

// Enrol asks the manager for a certificate, on a stream of its own.
func Enrol(ctx context.Context, st link.Stream, e wire.Enrol) (cert wire.Cert, err error) {
	err = exchange(ctx, st, func() error {
		c := Converse(st, []wire.Type{wire.TypeCert})
		if err := c.Send(e); err != nil {
			return err
		}
		f, err := c.Next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		cert = f.(wire.Cert)
		return st.Close()
	})
	return cert, err
}
