package mdns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// The types of records (RFC 1035, 2782, 3596) that matter here, and flags of a message and a class (RFC 6762, sections 5.4 and 10.2).
const (
	typeA    = 1
	typePTR  = 12
	typeTXT  = 16
	typeAAAA = 28
	typeSRV  = 33
	typeAny  = 255

	isResponse = 1 << 15
	classIN    = 1
	topBit     = 1 << 15 // of a class: "answer me alone" in a question, "flush the cache" in a record
)

const (
	maxPacket  = 9000 // RFC 6762, section 17
	maxName    = 255  // RFC 1035, section 2.3.4
	maxRecords = 128  // of a message; later ones are not read
)

// A name is a domain name as it is on the wire, without the root: a byte of length before each label, letters in lower case. So a dot
// in a label, which names of services may have, is no end of one.
type name string

// named returns the name that has these labels.
func named(labels ...string) name {
	var b strings.Builder
	for _, l := range labels {
		b.WriteByte(byte(len(l)))
		b.WriteString(lower(l))
	}
	return name(b.String())
}

// lower folds the letters that DNS folds (RFC 4343), byte by byte: a label need not be UTF-8.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

var (
	service  = named("_bungee-manager", "_udp", "local")
	services = named("_services", "_dns-sd", "_udp", "local") // the list of services, RFC 6763, section 9
)

// A question asks for records of a name.
type question struct {
	name  name
	kind  uint16
	alone bool // whoever asks wants the answer for himself
}

// A record is what we read of one: of those types that matter, what it says.
type record struct {
	name   name
	kind   uint16
	ttl    uint32
	target name       // of PTR and SRV
	port   uint16     // of SRV
	addr   netip.Addr // of A and AAAA
}

// A message is a query or a response.
type message struct {
	id        uint16
	response  bool
	questions []question
	records   []record // of all sections
}

var errMessage = errors.New("it is no message of DNS")

// parse reads a message that anybody may have sent.
func parse(b []byte) (m message, err error) {
	if len(b) < 12 || len(b) > maxPacket {
		return m, errMessage
	}
	half := func(at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
	m.id, m.response = uint16(half(0)), half(2)&isResponse != 0
	at := 12
	for range min(half(4), maxRecords) {
		q, next, ok := readQuestion(b, at)
		if !ok {
			return m, errMessage
		}
		m.questions, at = append(m.questions, q), next
	}
	if half(4) > maxRecords {
		return m, errMessage
	}
	for range min(half(6)+half(8)+half(10), maxRecords) {
		r, next, ok := readRecord(b, at)
		if !ok {
			return m, errMessage
		}
		m.records, at = append(m.records, r), next
	}
	return m, nil
}

func readQuestion(b []byte, at int) (q question, next int, ok bool) {
	if q.name, at, ok = readName(b, at); !ok || len(b)-at < 4 {
		return q, 0, false
	}
	q.kind = binary.BigEndian.Uint16(b[at:])
	class := binary.BigEndian.Uint16(b[at+2:])
	q.alone = class&topBit != 0
	if class&^topBit != classIN && class&^topBit != typeAny {
		q.kind = 0 // nobody's
	}
	return q, at + 4, true
}

func readRecord(b []byte, at int) (r record, next int, ok bool) {
	if r.name, at, ok = readName(b, at); !ok || len(b)-at < 10 {
		return r, 0, false
	}
	r.kind = binary.BigEndian.Uint16(b[at:])
	class := binary.BigEndian.Uint16(b[at+2:])
	r.ttl = binary.BigEndian.Uint32(b[at+4:])
	size := int(binary.BigEndian.Uint16(b[at+8:]))
	at += 10
	next = at + size
	if next > len(b) {
		return r, 0, false
	}
	if class&^topBit != classIN {
		r.kind = 0 // of another class
	}
	return r, next, r.read(b[:next], at)
}

// read reads what a record says: the end of b, from at on. Names in it may point to what is before.
func (r *record) read(b []byte, at int) (ok bool) {
	data := b[at:]
	switch r.kind {
	case typePTR:
		r.target, _, ok = readName(b, at)
		return ok
	case typeSRV:
		if len(data) < 7 {
			return false
		}
		r.port = binary.BigEndian.Uint16(data[4:]) // priority and weight are before it, and everybody could claim the best
		r.target, _, ok = readName(b, at+6)
		return ok
	case typeA:
		r.addr, ok = netip.AddrFromSlice(data)
		return ok && r.addr.Is4()
	case typeAAAA:
		r.addr, ok = netip.AddrFromSlice(data)
		return ok && r.addr.Is6()
	}
	return true
}

// readName reads the name at at. A pointer goes backwards, before the labels that it ends, so this ends.
func readName(b []byte, at int) (n name, next int, ok bool) {
	var s []byte
	for begin := at; at < len(b); {
		c := int(b[at])
		switch {
		case c == 0:
			if next == 0 {
				next = at + 1
			}
			return name(lower(string(s))), next, true
		case c < 64:
			if at+1+c > len(b) || len(s)+1+c > maxName-1 {
				return "", 0, false
			}
			s = append(s, b[at:at+1+c]...)
			at += 1 + c
		case c >= 0xc0 && at+1 < len(b):
			to := int(binary.BigEndian.Uint16(b[at:])) &^ 0xc000
			if to >= begin {
				return "", 0, false
			}
			if next == 0 {
				next = at + 2
			}
			at, begin = to, to
		default:
			return "", 0, false
		}
	}
	return "", 0, false
}
