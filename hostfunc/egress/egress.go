// Package egress reaches out over the network from code that compiles natively and to
// Wasm: HTTP requests and TCP connections (paper 001, II: a host resource).
//
// In a native program the calls go to net/http and net; in a guest the same calls go to
// host functions of the edge host, which connect to granted addresses only. So a
// marked function that uses egress is one source for both.
//
//	resp, err := egress.Do(ctx, egress.Request{URL: "https://maps.example.com/tile/7/3"})
//	if resp.Status == 200 { use(resp.Body) }
//
//	conn, err := egress.Dial(ctx, "anchors.example.com:7000")
//	defer conn.Close()
//
// # What a guest may reach
//
// Its manifest must ask for an address and the policy of the edge host must grant it. The
// name is checked before it is resolved, and each address it resolves to before a
// connection is made, also for redirects. Anything else is [ErrDenied]. Native programs
// are not restricted, unless [Use] is given a client that is.
//
// # Bounds
//
// The same on both sides: requests and responses of at most 16 MiB, with headers of at
// most 64 KiB, and five redirects. A guest has at most 16 connections, those that HTTP
// uses included. HTTP is version 1.1, by no proxy, keeps no cookies and decompresses
// nothing. Certificates are verified by the roots of the system. There is no listening
// and no UDP.
//
// # Concurrency
//
// Do and Dial may be called by many goroutines, and a [Conn] be read by one and written
// by another. In a guest each of these calls holds up all goroutines until it returns.
package egress

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Errors that callers act on. A call that its context ended returns that context's
// cause; other errors are the network's.
var (
	// ErrDenied says that the address, or one that it resolved to, is not granted.
	ErrDenied = errors.New("egress: address is not granted")
	// ErrTooLarge says that a request or a response is over its bound.
	ErrTooLarge = errors.New("egress: larger than its bound")
	// ErrTooMany says that as many connections are open as may be.
	ErrTooMany = errors.New("egress: too many open connections; close one")
)

// Bounds on what crosses between guest and host.
const (
	MaxAddress  = 512      // bytes of a host:port: a name has 253
	MaxMethod   = 32       // bytes of a method
	MaxURL      = 8 << 10  // bytes of a URL
	MaxHeader   = 64 << 10 // bytes of a header, of the request or the response
	MaxBody     = 16 << 20 // bytes of a body, unless [Config] says otherwise
	MaxConns    = 16       // open connections of a guest
	MaxRedirect = 5        // redirects of a request
)

// A Request is an HTTP request.
type Request struct {
	// Method is GET when it is empty.
	Method string
	// URL has the scheme http or https.
	URL string
	// Header may be nil. Host, Content-Length, Transfer-Encoding and Trailer in
	// it do nothing: they follow from the rest.
	Header Header
	// Body may be nil. It is not kept.
	Body []byte
}

// A Response is an HTTP response, whatever its status.
type Response struct {
	Status int
	Header Header
	Body   []byte
}

// A Header has the values of each name, as http.Header does.
type Header map[string][]string

// Get returns the first value of name, in upper or lower case, and "" for none.
func (h Header) Get(name string) string {
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

var errHeader = errors.New("egress: header with a line break, or a name that is empty or has a colon or a space")

// MarshalText returns a line "name: value\r\n" for each value, by order of the names.
func (h Header) MarshalText() ([]byte, error) {
	var text []byte
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name == "" || strings.ContainsAny(name, ": \t\r\n") {
			return nil, errHeader
		}
		for _, value := range h[name] {
			if strings.ContainsAny(value, "\r\n") {
				return nil, errHeader
			}
			text = append(append(append(append(text, name...), ": "...), value...), "\r\n"...)
		}
	}
	return text, nil
}

// UnmarshalText reads what MarshalText makes. The last line may lack its end.
func (h *Header) UnmarshalText(text []byte) error {
	*h = Header{}
	for rest := string(text); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(line, "\r\n") {
			return errHeader
		}
		(*h)[name] = append((*h)[name], strings.Trim(value, " \t"))
	}
	return nil
}
