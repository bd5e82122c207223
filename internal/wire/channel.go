package wire

import (
	"encoding/binary"
	"io"
	"time"
)

// The frames of elastic channels. A channel attaches its far endpoint by a stream of its
// own, which begins with Attach and lasts as long as the far endpoint.
const (
	TypeAttach   Type = 0x13 // UE to host: serve a far endpoint on this stream
	TypeAttached Type = 0x14 // its answer: an instance is warm
	TypeRestore  Type = 0x15 // UE to host: have this state; State.Size bytes follow
	TypeMessage  Type = 0x16 // UE to host: handle this; Message.Size bytes follow
	TypeOutcome  Type = 0x17 // host to UE: the outcome of a message; Outcome.Size bytes follow
	TypeCredit   Type = 0x18 // host to UE: how far the UE may send
	TypeHalt     Type = 0x19 // host to UE: the far endpoint has ended, or must move
	TypeSnapshot Type = 0x1a // UE to host, on a stream of its own: what is the state?
	TypeState    Type = 0x1b // its answer; State.Size bytes follow
	TypeSingle   Type = 0x1c // UE to host, on a stream of its own: a Message of mode Latest
	TypePart     Type = 0x1d // UE to host, on a stream of its own: a part of one
)

// Bounds on channels.
const (
	MaxState  = 64 << 20 // a far endpoint's state
	MaxWindow = 1 << 16  // messages that a channel may have under way
	MaxParts  = 16       // of a message
)

// Attach asks for a far endpoint. It has no state until a Restore comes.
type Attach struct {
	ID       uint64        // names the attachment within the session
	Module   [32]byte      // digest of the module
	Fn       uint32        // index of the endpoint's first guest function
	Latest   bool          // messages come as Single: the newest wins
	Window   uint32        // messages that the UE wants under way
	Deadline time.Duration // of each message, in whole µs; 0: none

	Extensions Extensions
}

const attachSize = 8 + 32 + 4 + 1 + 4 + 4 + 2

// AppendAttach appends an Attach frame.
func AppendAttach(b []byte, a Attach) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(TypeAttach)), a.ID)
	b = binary.BigEndian.AppendUint32(append(b, a.Module[:]...), a.Fn)
	b = binary.BigEndian.AppendUint32(append(b, flag(a.Latest)), a.Window)
	b = binary.BigEndian.AppendUint32(b, micros(a.Deadline))
	return appendExtensions(b, a.Extensions)
}

// ReadAttach reads an Attach whose type has been read.
func ReadAttach(r io.Reader) (Attach, error) {
	var h [attachSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Attach{}, midFrame(err)
	}
	a := Attach{
		ID: binary.BigEndian.Uint64(h[:]), Module: [32]byte(h[8:40]),
		Fn: binary.BigEndian.Uint32(h[40:]), Latest: h[44] == 1,
		Window: binary.BigEndian.Uint32(h[45:]), Deadline: duration(h[49:]),
	}
	switch {
	case h[44] > 1:
		return Attach{}, malformed("mode %d of a channel", h[44])
	case a.Window == 0 || a.Window > MaxWindow:
		return Attach{}, malformed("window of %d messages, not 1 to %d", a.Window, MaxWindow)
	}
	var err error
	a.Extensions, err = readExtensions(r, int(binary.BigEndian.Uint16(h[53:])))
	return a, err
}

// A Credit says how far the UE may send, and what has been done. Its numbers
// never fall during an attachment. Attached has the layout of a Credit: it is the first.
type Credit struct {
	Messages uint64 // in all since the attachment began
	Bytes    uint64 // of payloads, in all since the attachment began
	Done     uint64 // messages handled since the attachment began
}

// AppendCredit appends a Credit as a frame of type t, TypeCredit or TypeAttached.
func AppendCredit(b []byte, t Type, c Credit) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(t)), c.Messages)
	b = binary.BigEndian.AppendUint64(b, c.Bytes)
	return binary.BigEndian.AppendUint64(b, c.Done)
}

// ReadCredit reads a Credit or an Attached whose type has been read.
func ReadCredit(r io.Reader) (Credit, error) {
	var h [24]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Credit{}, midFrame(err)
	}
	return Credit{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:]), binary.BigEndian.Uint64(h[16:])}, nil
}

// A Message is the header of a message. Size bytes of payload follow it. As a
// Single it says which attachment it is for.
type Message struct {
	ID    uint64 // of a Single's attachment; not sent in a Message
	Epoch uint32
	Seq   uint64
	Quiet bool // a replay whose outcome is known: handle it, and send no Outcome
	Skip  bool // a replay of a message that broke its guest: do not handle it
	Size  int
}

// The flags of a message.
const (
	flagQuiet = 1
	flagSkip  = 2
)

// MessageHeader is the size of a Message frame without its payload.
const MessageHeader = 1 + 17

// AppendMessage appends a Message frame up to its payload.
func AppendMessage(b []byte, m Message) []byte {
	return appendMessage(append(b, byte(TypeMessage)), m)
}

// AppendSingle appends a Single frame up to its payload.
func AppendSingle(b []byte, m Message) []byte {
	return appendMessage(binary.BigEndian.AppendUint64(append(b, byte(TypeSingle)), m.ID), m)
}

func appendMessage(b []byte, m Message) []byte {
	b = binary.BigEndian.AppendUint32(b, m.Epoch)
	b = append(binary.BigEndian.AppendUint64(b, m.Seq), flag(m.Quiet)*flagQuiet|flag(m.Skip)*flagSkip)
	return binary.BigEndian.AppendUint32(b, uint32(m.Size))
}

// ReadMessage reads a Message whose type has been read, up to its payload.
func ReadMessage(r io.Reader) (Message, error) {
	var h [17]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Message{}, midFrame(err)
	}
	m := Message{
		Epoch: binary.BigEndian.Uint32(h[:]), Seq: binary.BigEndian.Uint64(h[4:]),
		Quiet: h[12]&flagQuiet != 0, Skip: h[12]&flagSkip != 0,
	}
	if h[12] > flagQuiet|flagSkip {
		return Message{}, malformed("flags 0x%02x of a message", h[12])
	}
	var err error
	m.Size, err = size(h[13:], "message")
	return m, err
}

// ReadSingle reads a Single whose type has been read, up to its payload.
func ReadSingle(r io.Reader) (Message, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Message{}, midFrame(err)
	}
	m, err := ReadMessage(r)
	m.ID = binary.BigEndian.Uint64(h[:])
	return m, err
}

// A Part is the header of a part of a message of mode Latest that goes over
// several connections at once. Size bytes follow it. The parts' bytes, one after
// another, are the message's; the answer comes on the stream of the first.
type Part struct {
	ID    uint64 // of the attachment
	Epoch uint32
	Seq   uint64
	Index int // from 0
	Parts int // number of parts, at least 2
	Size  int
}

// AppendPart appends a Part frame up to its payload.
func AppendPart(b []byte, p Part) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(TypePart)), p.ID)
	b = binary.BigEndian.AppendUint32(b, p.Epoch)
	b = append(binary.BigEndian.AppendUint64(b, p.Seq), byte(p.Index), byte(p.Parts))
	return binary.BigEndian.AppendUint32(b, uint32(p.Size))
}

// ReadPart reads a Part whose type has been read, up to its payload.
func ReadPart(r io.Reader) (Part, error) {
	var h [26]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Part{}, midFrame(err)
	}
	p := Part{
		ID: binary.BigEndian.Uint64(h[:]), Epoch: binary.BigEndian.Uint32(h[8:]),
		Seq: binary.BigEndian.Uint64(h[12:]), Index: int(h[20]), Parts: int(h[21]),
	}
	if p.Parts < 2 || p.Parts > MaxParts || p.Index >= p.Parts {
		return Part{}, malformed("part %d of %d, of at most %d", p.Index, p.Parts, MaxParts)
	}
	var err error
	p.Size, err = size(h[22:], "part")
	return p, err
}

// An Outcome is the header of a message's outcome: the reply of its guest
// function. Size bytes follow it.
type Outcome struct {
	Epoch  uint32
	Seq    uint64
	Status byte          // of the guest ABI
	Run    time.Duration // of the guest function, in whole µs
	Size   int
}

const outcomeSize = 4 + 8 + 1 + 4 + 4

// AppendOutcome appends an Outcome frame up to its payload.
func AppendOutcome(b []byte, o Outcome) []byte {
	b = binary.BigEndian.AppendUint32(append(b, byte(TypeOutcome)), o.Epoch)
	b = append(binary.BigEndian.AppendUint64(b, o.Seq), o.Status)
	b = binary.BigEndian.AppendUint32(b, micros(o.Run))
	return binary.BigEndian.AppendUint32(b, uint32(o.Size))
}

// ReadOutcome reads an Outcome whose type has been read, up to its payload.
func ReadOutcome(r io.Reader) (Outcome, error) {
	var h [outcomeSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Outcome{}, midFrame(err)
	}
	o := Outcome{Epoch: binary.BigEndian.Uint32(h[:]), Seq: binary.BigEndian.Uint64(h[4:]), Status: h[12], Run: duration(h[13:])}
	var err error
	o.Size, err = size(h[17:], "outcome")
	return o, err
}

// A Halt says that the far endpoint has ended. With offload.CodeDraining it says that the
// far endpoint must move, and is served until then. Message Seq, if there is one, broke
// the guest.
type Halt struct {
	Seq  uint64
	Fail Fail
}

// AppendHalt appends a Halt frame.
func AppendHalt(b []byte, h Halt) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(TypeHalt)), h.Seq)
	return appendFail(b, h.Fail)
}

// ReadHalt reads a Halt whose type has been read.
func ReadHalt(r io.Reader) (Halt, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Halt{}, midFrame(err)
	}
	f, err := ReadFail(r)
	if err != nil {
		return Halt{}, err
	}
	return Halt{binary.BigEndian.Uint64(h[:]), *f}, nil
}

// Snapshot asks for the state of an attachment's far endpoint.
type Snapshot struct {
	ID uint64 // of the attachment
	// Have is the message of the last State that came from the attachment since
	// its last Restore, NoState when none did. A host answers Same only for that one.
	Have uint64
}

// NoState is the value of Snapshot.Have when no State has come.
const NoState = ^uint64(0)

// AppendSnapshot appends a Snapshot frame.
func AppendSnapshot(b []byte, s Snapshot) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(TypeSnapshot)), s.ID)
	return binary.BigEndian.AppendUint64(b, s.Have)
}

// ReadSnapshot reads a Snapshot whose type has been read.
func ReadSnapshot(r io.Reader) (Snapshot, error) {
	var h [16]byte
	_, err := io.ReadFull(r, h[:])
	return Snapshot{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}, midFrame(err)
}

// A State is the header of a far endpoint's state as of message Seq. Size bytes
// follow it. In a Restore it is the state that the far endpoint gets.
type State struct {
	Seq  uint64
	Took time.Duration // to save it, in whole µs
	Same bool          // as the last State of this attachment; Size is 0
	Size int
}

const stateSize = 8 + 4 + 1 + 4

// AppendState appends a State as a frame of type t, TypeState or TypeRestore, up
// to the state.
func AppendState(b []byte, t Type, s State) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(t)), s.Seq)
	b = append(binary.BigEndian.AppendUint32(b, micros(s.Took)), flag(s.Same))
	return binary.BigEndian.AppendUint32(b, uint32(s.Size))
}

// ReadState reads a State or a Restore whose type has been read, up to the state.
func ReadState(r io.Reader) (State, error) {
	var h [stateSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return State{}, midFrame(err)
	}
	s := State{Seq: binary.BigEndian.Uint64(h[:]), Took: duration(h[8:]), Same: h[12] == 1}
	var err error
	s.Size, err = size(h[13:], "state")
	if err == nil && (h[12] > 1 || s.Same && s.Size > 0) {
		err = malformed("flags 0x%02x of a state of %d bytes", h[12], s.Size)
	}
	return s, err
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
