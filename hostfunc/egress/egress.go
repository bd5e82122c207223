// Package egress makes HTTP requests and TCP connections from code that compiles natively
// and to Wasm (paper 001, II: a host resource).
//
// In a native program the calls go to net/http and net. In a guest they go to host
// functions of the edge host, which connect to granted addresses only. So a marked
// function that uses egress has one source for both.
//
//	resp, err := egress.Do(ctx, egress.Request{URL: "https://maps.example.com/tile/7/3"})
//	if resp.Status == 200 { use(resp.Body) }
//
//	conn, err := egress.Dial(ctx, "anchors.example.com:7000")
//	defer conn.Close()
//
// # What a guest may reach
//
// An address that the guest's manifest asks for and the policy of the edge host grants.
// A name is checked before it is resolved, and each of its addresses before a connection
// is made to it, for redirects too. Anything else is [ErrDenied]. Native programs are not
// restricted, except by the client given to [Use].
//
// # Bounds
//
// In native programs and in guests, the bodies of requests and responses have at most
// 16 MiB, their headers at most 64 KiB, and a request follows at most five redirects. A
// guest has at most 16 connections, those for HTTP included. HTTP is version 1.1, without
// proxy, cookies and decompression. Certificates are verified with the system's roots.
// There is no listening and no UDP.
//
// # Concurrency
//
// Do and Dial may be called by many goroutines. One goroutine can read a [Conn] while
// another writes it. In a guest each of these calls blocks all goroutines until it
// returns.
package egress

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Errors that callers can act on. A call whose context ends returns the cause of the
// context. Other errors come from the network.
var (
	// ErrDenied says that the name, or the address that it resolves to, is not
	// granted.
	ErrDenied = errors.New("egress: address is not granted")
	// ErrTooLarge says that a request or a response exceeds a bound.
	ErrTooLarge = errors.New("egress: larger than its bound")
	// ErrTooMany says that no more connections may be open, or that the tenant's guests
	// make more requests or connections in a second than they may.
	ErrTooMany = errors.New("egress: too many connections, or too many at once; close some or come back later")
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
	// Header may be nil. Host, Content-Length, Transfer-Encoding and Trailer are
	// ignored: URL and Body decide them.
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
