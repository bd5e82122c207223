package mdns

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	ttl      = 120 // seconds, as RFC 6762, section 10, says of records with a host's name
	aloneTTL = 10  // of an answer to one who keeps no cache, section 6.7
)

// query returns the question for managers.
func query(id uint16) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName("_bungee-manager._udp.local."), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET,
	}}}
	return m.Pack()
}

// An entry is what is announced.
type entry struct {
	instance, host string // labels, without a dot in them
	port           uint16
}

func (e entry) instanceName() name { return named(e.instance, "_bungee-manager", "_udp", "local") }
func (e entry) hostName() name     { return named(e.host, "local") }

// concerns says whether q is about e.
func (e entry) concerns(q question) bool {
	is := func(kinds ...uint16) bool {
		for _, k := range kinds {
			if q.kind == k {
				return true
			}
		}
		return q.kind == typeAny
	}
	switch q.name {
	case service, services:
		return is(typePTR)
	case e.instanceName():
		return is(typeSRV, typeTXT)
	case e.hostName():
		return is(typeA, typeAAAA)
	}
	return false
}

// known says whether m's sender knows e already, and will for a while (RFC 6762, section 7.1).
func (e entry) known(m message) bool {
	for _, r := range m.records {
		if r.kind == typePTR && r.name == service && r.target == e.instanceName() && r.ttl >= ttl/2 {
			return true
		}
	}
	return false
}

// A reply is a response to be: to all on the link, or to one who asks from another port than 5353 and gets his id and questions back.
type reply struct {
	addrs  []netip.Addr // of the host
	ttl    uint32       // seconds; 0 is a goodbye
	id     uint16
	asked  []question
	listed bool // the list of services was asked for
}

// text returns the name of one of e's records as dnsmessage has it.
func (e entry) text(n name) (dnsmessage.Name, error) {
	const of = "_bungee-manager._udp.local."
	switch n {
	case services:
		return dnsmessage.NewName("_services._dns-sd._udp.local.")
	case e.instanceName():
		return dnsmessage.NewName(e.instance + "." + of)
	case e.hostName():
		return dnsmessage.NewName(e.host + ".local.")
	}
	return dnsmessage.NewName(of)
}

// pack returns the response, with all records of e.
func (e entry) pack(r reply) ([]byte, error) {
	var errs [4]error
	var names [4]dnsmessage.Name
	for i, n := range []name{service, services, e.instanceName(), e.hostName()} {
		names[i], errs[i] = e.text(n)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("announce %q: %w", e.instance, err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: r.id, Response: true, Authoritative: true}}
	for _, q := range r.asked {
		n, _ := e.text(q.name) // it is one of the four
		m.Questions = append(m.Questions, dnsmessage.Question{Name: n, Type: dnsmessage.Type(q.kind), Class: dnsmessage.ClassINET})
	}
	add := func(n dnsmessage.Name, t dnsmessage.Type, body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: n, Type: t, Class: dnsmessage.ClassINET, TTL: r.ttl}, Body: body})
	}
	if r.listed {
		add(names[1], dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: names[0]})
	}
	add(names[0], dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: names[2]})
	add(names[2], dnsmessage.TypeSRV, &dnsmessage.SRVResource{Port: e.port, Target: names[3]})
	add(names[2], dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: []string{""}})
	for _, a := range r.addrs {
		if a.Is4() {
			add(names[3], dnsmessage.TypeA, &dnsmessage.AResource{A: a.As4()})
		} else {
			add(names[3], dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	return m.Pack()
}
