package camara

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
)

// A Device is what an operator knows a device by. One of its fields is enough; where several are set the operator takes one that he can use. They must be of the same device.
type Device struct {
	// PhoneNumber is as of E.164: "+441234567890".
	PhoneNumber string
	// NetworkAccessIdentifier is "local@domain". CAMARA reserves it: operators refuse it at present.
	NetworkAccessIdentifier string
	// IPv4 is the address and port that servers see. Its port is zero where PrivateIPv4 is set and the port is not known.
	IPv4 netip.AddrPort
	// PrivateIPv4 is the address that the device has itself, behind the operator's NAT; the one of IPv4 if there is no NAT.
	PrivateIPv4 netip.Addr
	// IPv6 is the address that servers see, or any other in the device's subnet.
	IPv6 netip.Addr
}

var phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)

// check says what the API would refuse.
func (d Device) check() error {
	public := d.IPv4.Addr()
	switch {
	case d == Device{}:
		return errors.New("it says nothing of the device: nil means the one that the token is of")
	case d.PhoneNumber != "" && !phoneNumber.MatchString(d.PhoneNumber):
		return errors.New("PhoneNumber is not like +441234567890")
	case len(d.NetworkAccessIdentifier) > 2048:
		return fmt.Errorf("NetworkAccessIdentifier has %d bytes, over 2048", len(d.NetworkAccessIdentifier))
	case d.PrivateIPv4.IsValid() && !(d.PrivateIPv4.Is4() && public.Is4()):
		return errors.New("PrivateIPv4 is not of IPv4, or IPv4 is not set, without which it says nothing")
	case public.IsValid() && !public.Is4():
		return errors.New("IPv4 is not of IPv4")
	case public.IsValid() && d.IPv4.Port() == 0 && !d.PrivateIPv4.IsValid():
		return errors.New("IPv4 has no port, and PrivateIPv4 is not set: many devices share a public address")
	case d.IPv6.IsValid() && (!d.IPv6.Is6() || d.IPv6.Is4In6() || d.IPv6.Zone() != ""):
		return errors.New("IPv6 is not of IPv6, or of a link only")
	}
	return nil
}

// A deviceBody is a Device in the body of a request.
type deviceBody struct {
	PhoneNumber             string    `json:"phoneNumber,omitempty"`
	NetworkAccessIdentifier string    `json:"networkAccessIdentifier,omitempty"`
	IPv4Address             *ipv4Body `json:"ipv4Address,omitempty"`
	IPv6Address             string    `json:"ipv6Address,omitempty"`
}

type ipv4Body struct {
	PublicAddress  string `json:"publicAddress"`
	PrivateAddress string `json:"privateAddress,omitempty"`
	PublicPort     uint16 `json:"publicPort,omitempty"`
}

// text returns a as a request has it; "" for none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (d Device) body() *deviceBody {
	b := &deviceBody{PhoneNumber: d.PhoneNumber, NetworkAccessIdentifier: d.NetworkAccessIdentifier, IPv6Address: text(d.IPv6)}
	if d.IPv4.Addr().IsValid() {
		b.IPv4Address = &ipv4Body{text(d.IPv4.Addr()), text(d.PrivateIPv4), d.IPv4.Port()}
	}
	return b
}

// header returns d as the first versions have it, which know no private address.
func (d Device) header() http.Header {
	h := http.Header{}
	set := func(key, value string) {
		if value != "" {
			h.Set(key, value)
		}
	}
	set("Phone-Number", d.PhoneNumber)
	set("Network-Access-Identifier", d.NetworkAccessIdentifier)
	set("IPv4-Address", text(d.IPv4.Addr()))
	if p := d.IPv4.Port(); p != 0 {
		set("Public-port", strconv.Itoa(int(p)))
	}
	set("IPv6-Address", text(d.IPv6))
	return h
}

// A request is how a version of the API is asked.
type request struct {
	method, url string
	header      http.Header
	body        []byte
}

// firstVersions are those that are asked by headers.
var firstVersions = regexp.MustCompile(`/v[01]([^0-9/][^/]*)?/?$`)

// requestOf returns how the API at u is asked, which ends with its version. A nil device is that of the token.
func requestOf(u *url.URL, d *Device) request {
	if firstVersions.MatchString(u.Path) {
		r := request{method: http.MethodGet, url: u.JoinPath("edge-cloud-zones").String() + "?filter=closest", header: http.Header{}}
		if d != nil {
			r.header = d.header()
		}
		return r
	}
	var body struct {
		Device *deviceBody `json:"device,omitempty"`
	}
	if d != nil {
		body.Device = d.body()
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is texts and a number
	}
	return request{method: http.MethodPost, url: u.JoinPath("retrieve-closest-edge-cloud-zone").String(), header: http.Header{"Content-Type": {"application/json"}}, body: text}
}

// to returns the request with a token.
func (r request) to(ctx context.Context, token, correlator string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("ask for the closest edge cloud zone: %w", err)
	}
	req.Header = r.header.Clone()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("x-correlator", correlator)
	return req, nil
}

// newCorrelator returns a UUID by which the operator finds a request in his logs (RFC 9562, version 4).
func newCorrelator() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
