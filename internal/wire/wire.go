// Package wire owns every byte that Bungee puts on the network: the frames,
// their bounds and the version. docs/protocol.md describes them, and a test
// holds the two together.
//
// Every stream begins with a frame whose type says what the stream is for.
// Integers are big endian. A frame of the control plane is a type, a length and
// a msgpack array; the frames of a call are laid out by hand, because they are
// on the path of each video frame.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

// ALPN names the protocol and its version in the TLS handshake (RFC 7301).
const ALPN = "bungee/2"

// Before are the versions that came before. They are offered and taken in the
// handshake only so that a peer that speaks no other can be told which version is
// spoken here: package link ends such a connection before the first frame.
var Before = []string{"bungee/1"}

// A Type is the first byte of a frame.
type Type byte

// The types of frames. Those below 0x10 are the control plane's, 0x1x the data
// plane's, 0x2x probes.
const (
	TypeHello   Type = 0x01 // UE to host, first on the session's stream
	TypeWelcome Type = 0x02 // its answer
	TypeGoAway  Type = 0x03 // host to UE, on the session's stream: no new calls
	TypeHave    Type = 0x04 // UE to host: is this module there?
	TypePut     Type = 0x05 // UE to host: here it is; Put.Size bytes follow
	TypeLoaded  Type = 0x06 // the answer to Have and Put
	TypeCall    Type = 0x10 // UE to host
	TypeResult  Type = 0x11 // the answer: the guest function's reply
	TypeFail    Type = 0x12 // the answer to anything that cannot be done
	TypePing    Type = 0x20 // UE to host
	TypePong    Type = 0x21 // its answer
)

// Bounds on what a peer may send.
const (
	MaxControl = 16 << 10 // body of a control frame
	MaxPayload = 64 << 20 // request or reply of a call
	MaxModule  = 64 << 20 // a module's bytes
	MaxText    = 4 << 10  // text of a Fail
	MaxName    = 255      // a name
	MaxSpans   = 16       // spans of a Result
)

// ErrFrame reports bytes that are no frame of this protocol, or a frame that
// is out of bounds or out of place. The stream that they came on cannot be used any longer.
var ErrFrame = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFrame}, args...)...)
}

// Hello opens a session.
type Hello struct {
	Name    string // of the UE, for logs
	Session uint64 // connections of one UE with the same Session share their channels

	Extensions Extensions
}

// Welcome answers Hello.
type Welcome struct {
	Name     string // of the edge host
	Cores    int    // calls that it runs at once
	Lifeline int    // TCP port that it keeps lifelines on; 0: none

	Key [16]byte // for lifelines there; zero: none

	Now int64 // the host's clock, in ms since 1970, UTC; 0: not told
}

// GoAway says that the host takes no new calls; those begun still end.
type GoAway struct {
	Reason string
}

// Have asks whether the host has a module.
type Have struct {
	Digest [32]byte // SHA-256 of the module
}

// Put sends a module. Size bytes follow the frame.
type Put struct {
	Digest [32]byte
	Size   int
}

// Loaded answers Have and Put.
type Loaded struct {
	Ready bool // the module is loaded; false: send it with Put
}

// Ping asks for a Pong with the same Token and Fill.
type Ping struct {
	Token uint64
	Fill  []byte // as large as the traffic whose way is probed; at most MaxFill
}

// MaxFill bounds the Fill of a Ping: more than two of the largest packets.
const MaxFill = 3 << 10

// AppendControl appends a control frame or a probe: body is one of Hello,
// Welcome, GoAway, Have, Put, Loaded, Ping. It panics for a body over
// MaxControl, which only a caller's mistake can make.
func AppendControl(b []byte, t Type, body any) []byte {
	b, err := appendControl(b, t, body)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

func appendControl(b []byte, t Type, body any) ([]byte, error) {
	var p bytes.Buffer
	e := msgpack.NewEncoder(&p)
	e.UseArrayEncodedStructs(true)
	if err := e.Encode(body); err != nil {
		return b, err
	}
	if p.Len() > MaxControl {
		return b, malformed("body of frame 0x%02x of %d bytes, over %d", t, p.Len(), MaxControl)
	}
	b = binary.BigEndian.AppendUint16(append(b, byte(t)), uint16(p.Len()))
	return append(b, p.Bytes()...), nil
}

// ReadType reads the type of the next frame. io.EOF means that no frame follows.
func ReadType(r io.Reader) (Type, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return Type(b[0]), err
}

// ReadControl reads the body of a control frame, whose type has been read,
// into body, a pointer to its struct.
func ReadControl(r io.Reader, body any) error {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return midFrame(err)
	}
	n := int(binary.BigEndian.Uint16(h[:]))
	if n > MaxControl {
		return malformed("control body of %d bytes, over %d", n, MaxControl)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return midFrame(err)
	}
	if err := decodeFields(msgpack.NewDecoder(bytes.NewReader(p)), reflect.ValueOf(body).Elem()); err != nil {
		return malformed("%T: %v", body, err)
	}
	if c, ok := body.(interface{ check() error }); ok {
		return c.check()
	}
	return nil
}

func (h Hello) check() error { return h.Extensions.check() }

// decodeFields decodes an array of the fields of body, a struct. A peer of an earlier or a
// later build of this version may have fewer fields or more: those that it lacks are zero, and
// those that we do not know are passed over.
func decodeFields(d *msgpack.Decoder, body reflect.Value) error {
	n, err := d.DecodeArrayLen()
	body.SetZero()
	for i := range n {
		switch {
		case err != nil:
			return err
		case i < body.NumField():
			err = decodeValue(d, body.Field(i))
		default:
			err = d.Skip()
		}
	}
	return err
}

// decodeValue decodes v. For structs, lists, bytes and texts msgpack itself will not do: it takes arrays of the
// exact number of fields only, and allocates the others on the word of their length.
func decodeValue(d *msgpack.Decoder, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Struct:
		return decodeFields(d, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		return decodeList(d, v)
	case v.Kind() == reflect.Slice:
		b, err := decodeBytes(d)
		v.SetBytes(b)
		return err
	case v.Kind() == reflect.String:
		b, err := decodeBytes(d)
		v.SetString(string(b))
		return err
	}
	return d.DecodeValue(v)
}

// decodeBytes decodes bytes or a text. Those that a frame has no room for are not there.
func decodeBytes(d *msgpack.Decoder) ([]byte, error) {
	n, err := d.DecodeBytesLen()
	switch {
	case err != nil || n < 0: // nil
		return nil, err
	case n > MaxControl:
		return nil, fmt.Errorf("%d bytes, over %d", n, MaxControl)
	}
	b := make([]byte, n)
	return b, d.ReadFull(b)
}

// maxList bounds the elements of any list, so that those of one byte on the network do not
// cost a hundred each here.
const maxList = 256

func decodeList(d *msgpack.Decoder, list reflect.Value) error {
	n, err := d.DecodeArrayLen()
	switch {
	case err != nil:
		return err
	case n > maxList:
		return fmt.Errorf("a list of %d elements, over %d", n, maxList)
	case n <= 0: // also nil
		return nil
	}
	list.Set(reflect.MakeSlice(list.Type(), n, n))
	for i := range n {
		if err := decodeValue(d, list.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// ExpectControl reads a frame of type want into body. A Fail in its place is
// returned as *Fail.
func ExpectControl(r io.Reader, want Type, body any) error {
	t, err := ReadType(r)
	if err != nil {
		return midFrame(err)
	}
	switch t {
	case want:
		return ReadControl(r, body)
	case TypeFail:
		f, err := ReadFail(r)
		if err != nil {
			return err
		}
		return f
	}
	return malformed("frame 0x%02x where 0x%02x belongs", t, want)
}

// ReadEnd checks that the peer sent nothing more.
func ReadEnd(r io.Reader) error {
	var b [1]byte
	switch n, err := io.ReadFull(r, b[:]); {
	case n > 0:
		return malformed("bytes after the frame")
	case err != io.EOF:
		return err
	}
	return nil
}

// midFrame returns err, an end inside a frame as io.ErrUnexpectedEOF.
func midFrame(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
