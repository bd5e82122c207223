package ue

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What proxies answer, and what the error says.
func TestTunnel(t *testing.T) {
	tests := []struct {
		name, user string
		answer     string // "" hangs
		want       string // in the error; "" is none
	}{
		{"takes it", "", "HTTP/1.1 200 Connection established\r\n\r\n", ""},
		{"takes it with a length", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"wants a password", "", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nno!\n", "407"},
		{"gets one", "ann:secret", "HTTP/1.1 200 OK\r\n\r\n", ""},
		{"says little", "", "HTTP/1.0 200\n\n", ""},
		{"says less", "", "HTTP/1.1 \r\n\r\n", "no HTTP"},
		{"forbids it", "", "HTTP/1.1 403 Forbidden\r\n\r\n", "403"},
		{"hangs", "", "", "within 3s"},
		{"hangs in its answer", "", "HTTP/1.1 200 OK\r\nX:", "within 3s"},
		{"ends", "", "end", "no HTTP"},
		{"is no proxy", "", "SSH-2.0-OpenSSH_9.9\r\n", "no HTTP"},
		{"never ends its answer", "", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10), "no HTTP"},
		{"says more", "", "HTTP/1.1 200 OK\r\n\r\nmore", "bytes of its own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer near.Close()
				asked := make(chan *http.Request, 1)
				go func() {
					r, err := http.ReadRequest(bufio.NewReader(far))
					if err != nil {
						t.Error(err)
					}
					asked <- r
					if tt.answer == "end" {
						far.Close()
					}
					io.WriteString(far, tt.answer)
				}()
				var user *url.Userinfo
				if name, password, ok := strings.Cut(tt.user, ":"); ok {
					user = url.UserPassword(name, password)
				}
				begin := time.Now()
				err := tunnel(t.Context(), near, "edge.example:4433", user)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if took := time.Since(begin); took > proxyTimeout {
					t.Errorf("it took %v", took)
				}
				r := <-asked
				if r.Method != http.MethodConnect || r.Host != "edge.example:4433" {
					t.Errorf("the UE asked for %s %s", r.Method, r.Host)
				}
				r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
				if name, password, ok := r.BasicAuth(); ok != (user != nil) || ok && name+":"+password != tt.user {
					t.Errorf("the UE is %s, with %s", name, password)
				}
				far.Close()
			})
		})
	}
}

var errEnough = errors.New("enough")

// The environment names the proxy, and the end of ctx ends the wait for it.
func TestProxyOfTheEnvironment(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct{ proxy, no, want string }{
		{"http://" + silent.Addr().String(), "", "enough"},
		{"socks5://" + silent.Addr().String(), "", "only http://"},
		{"http://127.0.0.1:1", "", "HTTP proxy"},
		{"http://127.0.0.1:1", "edge.invalid", "edge.invalid"},
	} {
		t.Setenv("HTTPS_PROXY", tt.proxy)
		t.Setenv("NO_PROXY", tt.no)
		ctx, cancel := context.WithCancelCause(t.Context())
		if tt.want == "enough" {
			go func() {
				if c, err := silent.Accept(); err == nil {
					c.Read(make([]byte, 1)) // the request
					cancel(errEnough)
					io.Copy(io.Discard, c)
					c.Close()
				}
			}()
		}
		c, err := dialSystem(ctx, "edge.invalid:1")
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("proxy %s, not for %q: %v, want %q", tt.proxy, tt.no, err, tt.want)
		}
		cancel(nil)
	}
}
