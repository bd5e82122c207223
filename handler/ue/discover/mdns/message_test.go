package mdns

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

var at = []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fe80::1")}

// packed is a response as an announcer makes it.
func packed(t testing.TB, e entry, r reply) []byte {
	t.Helper()
	b, err := e.pack(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Another implementation reads what is announced, and its records are those of RFC 6763.
func TestResponseIsDNS(t *testing.T) {
	e := entry{instance: "m1-00", host: "bungee-00", port: 4434}
	asked := question{name: service, kind: typePTR}
	var m dnsmessage.Message
	if err := m.Unpack(packed(t, e, reply{addrs: at, ttl: 10, id: 7, asked: []question{asked}, listed: true})); err != nil {
		t.Fatal(err)
	}
	if !m.Response || !m.Authoritative || m.ID != 7 || len(m.Questions) != 1 || m.Questions[0].Name.String() != "_bungee-manager._udp.local." {
		t.Errorf("%+v; want a response to question 7, with it", m)
	}
	var got []string
	for _, a := range m.Answers {
		if a.Header.TTL != 10 {
			t.Errorf("%v lives %d s; want 10", a.Header.Name, a.Header.TTL)
		}
		got = append(got, a.Header.Type.String()+" "+a.Header.Name.String())
	}
	want := []string{
		"TypePTR _services._dns-sd._udp.local.", "TypePTR _bungee-manager._udp.local.", "TypeSRV m1-00._bungee-manager._udp.local.",
		"TypeTXT m1-00._bungee-manager._udp.local.", "TypeA bungee-00.local.", "TypeAAAA bungee-00.local.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %q; want %q", got, want)
	}
}

// What we announce we read.
func TestParse(t *testing.T) {
	e := entry{instance: "m1-00", host: "bungee-00", port: 4434}
	m, err := parse(packed(t, e, reply{addrs: at, ttl: 120}))
	if err != nil || !m.response || len(m.records) != 5 {
		t.Fatalf("%+v, %v; want five records", m, err)
	}
	for i, want := range []record{
		{name: service, kind: typePTR, ttl: 120, target: e.instanceName()},
		{name: e.instanceName(), kind: typeSRV, ttl: 120, target: e.hostName(), port: 4434},
		{name: e.instanceName(), kind: typeTXT, ttl: 120},
		{name: e.hostName(), kind: typeA, ttl: 120, addr: at[0]},
		{name: e.hostName(), kind: typeAAAA, ttl: 120, addr: at[1]},
	} {
		if m.records[i] != want {
			t.Errorf("record %d is %+v; want %+v", i, m.records[i], want)
		}
	}
	q, err := query(9)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = parse(q); err != nil || m.response || m.id != 9 || !slices.Equal(m.questions, []question{{name: service, kind: typePTR}}) {
		t.Errorf("%+v, %v; want the question for managers", m, err)
	}
}

// wireName writes labels as they are, whatever is in them.
func wireName(labels ...string) []byte {
	var b []byte
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

// rawRecord writes a record.
func rawRecord(n []byte, kind byte, ttl byte, data []byte) []byte {
	return append(append(slices.Clone(n), 0, kind, 0, 1, 0, 0, 0, ttl, byte(len(data)>>8), byte(len(data))), data...)
}

// rawResponse is a response with these records.
func rawResponse(id uint16, records ...[]byte) []byte {
	return append([]byte{byte(id >> 8), byte(id), 0x84, 0, 0, 0, 0, byte(len(records)), 0, 0, 0, 0}, bytes.Join(records, nil)...)
}

var serviceWire = wireName("_bungee-manager", "_udp", "local")

// oddInstance is a response with a name that people give to a service.
func oddInstance(id uint16, instance string) []byte {
	full := wireName(instance, "_BUNGEE-Manager", "_udp", "LOCAL")
	return rawResponse(id,
		rawRecord(serviceWire, typePTR, 10, full),
		rawRecord(full, typeSRV, 10, append([]byte{0, 0, 0, 0, 0x11, 0x52}, wireName("h\x80", "local")...)),
		rawRecord(wireName("H\x80", "local"), typeA, 10, []byte{10, 9, 0, 7}))
}

// Names may have dots, spaces, capitals and what is no UTF-8; letters of ASCII are the same in both cases, and nothing else is.
func TestOddNames(t *testing.T) {
	l := testLink
	for _, instance := range []string{"Lab v1.2", "Küche", "a\x00b", "\xff\xfe", "..", strings.Repeat("x", 63), "AbC"} {
		m, err := parse(oddInstance(1, instance))
		if got := l.managers(m, netip.MustParseAddr("10.9.0.7")); err != nil || !slices.Equal(got, []string{"10.9.0.7:4434"}) {
			t.Errorf("%q: %v, %v; want its manager", instance, got, err)
		}
	}
	if named("a.b") == named("a", "b") || named("\x03abc") == named("abc") || named("Ä") == named("ä") || named("A") != named("a") {
		t.Error("names are mistaken for each other")
	}
}

// A message that is cut short, or points to itself or ahead, is none; the end of reading is certain.
func TestParseRefuses(t *testing.T) {
	whole := packed(t, entry{instance: "m", host: "h", port: 1}, reply{addrs: at, ttl: 1})
	for n := range whole {
		if _, err := parse(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a message", n, len(whole))
		}
	}
	head := func(rest ...byte) []byte { return append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, rest...) }
	long := bytes.Repeat(append([]byte{63}, make([]byte, 63)...), 4)
	for why, b := range map[string][]byte{
		"it is empty":                       nil,
		"its name points to itself":         head(0xc0, 12, 0, 12, 0, 1),
		"its name points ahead":             head(0xc0, 14, 0, 0, 12, 0, 1),
		"its name points behind the end":    head(0xff, 0xff, 0, 12, 0, 1),
		"its labels point back to the same": head(1, 'a', 0xc0, 12, 0, 12, 0, 1),
		"its name has a label of type 01":   head(0x41, 'a', 0, 0, 12, 0, 1),
		"its name has 257 bytes":            head(append(long, 0, 0, 12, 0, 1)...),
		"it is longer than a packet":        make([]byte, maxPacket+1),
		"it claims 65535 questions":         {0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0},
		"it claims a record and has none":   {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		"its SRV has two bytes":             rawResponse(0, rawRecord(serviceWire, typeSRV, 1, []byte{0, 0})),
		"its A has five bytes":              rawResponse(0, rawRecord(serviceWire, typeA, 1, make([]byte, 5))),
		"its AAAA has four bytes":           rawResponse(0, rawRecord(serviceWire, typeAAAA, 1, make([]byte, 4))),
	} {
		if m, err := parse(b); err == nil {
			t.Errorf("%s, and it is read as %+v", why, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packed(f, entry{instance: "m", host: "h", port: 1}, reply{addrs: at, ttl: 1, asked: []question{{name: service, kind: typePTR}}}))
	f.Add(oddInstance(3, "a.b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if len(m.records) > maxRecords || len(m.questions) > maxRecords {
			t.Errorf("%d questions and %d records", len(m.questions), len(m.records))
		}
		for _, r := range m.records {
			if len(r.name) > maxName || len(r.target) > maxName {
				t.Errorf("a name of %d bytes", max(len(r.name), len(r.target)))
			}
		}
		for _, a := range testLink.managers(m, at[0]) {
			p, err := netip.ParseAddrPort(a)
			if err != nil || p.Port() == 0 || !testLink.has(p.Addr()) {
				t.Errorf("%q is no address on the link: %v", a, err)
			}
		}
	})
}
