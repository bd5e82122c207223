package ue

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// proxyTimeout is how long a proxy may take to answer.
const proxyTimeout = 3 * time.Second

// dialSystem makes a connection of TCP to addr, through the proxy that the environment
// names for it, if any: HTTPS_PROXY, and NO_PROXY for exceptions.
func dialSystem(ctx context.Context, addr string) (net.Conn, error) {
	proxy, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil, fmt.Errorf("HTTPS_PROXY: %w", err)
	}
	if proxy == nil {
		return dialDirect(ctx, addr)
	}
	if proxy.Scheme != "http" {
		return nil, fmt.Errorf("HTTPS_PROXY names a proxy of %q; only http:// is known here", proxy.Scheme)
	}
	c, err := dialDirect(ctx, proxyAddr(proxy))
	if err != nil {
		return nil, fmt.Errorf("HTTP proxy: %w", err)
	}
	if err := tunnel(ctx, c, addr, proxy.User); err != nil {
		c.Close()
		return nil, fmt.Errorf("HTTP proxy %s: %w", proxy.Host, err)
	}
	return c, nil
}

func dialDirect(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func proxyAddr(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// maxProxyAnswer bounds the head of a proxy's answer.
const maxProxyAnswer = 16 << 10

var errProxySlow = fmt.Errorf("it has not answered within %v", proxyTimeout)

// tunnel asks the proxy at the other end of c for a connection to addr (RFC 9110 section
// 9.3.6).
func tunnel(ctx context.Context, c net.Conn, addr string, user *url.Userinfo) error {
	ctx, cancel := context.WithTimeoutCause(ctx, proxyTimeout, errProxySlow)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := connectVia(c, addr, user)
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

func connectVia(c net.Conn, addr string, user *url.Userinfo) error {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.LimitReader(c, maxProxyAnswer), 4<<10)
	status, err := readAnswer(r)
	switch {
	case err != nil:
		return fmt.Errorf("its answer is no HTTP: %w", err)
	case strings.HasPrefix(status, "407"):
		return errors.New("it wants a name and a password (407); write them as http://NAME:PASSWORD@HOST:PORT in HTTPS_PROXY")
	case status[0] != '2':
		return fmt.Errorf("it refuses a connection to %s: %.100q", addr, status)
	case r.Buffered() > 0: // the UE speaks first
		return errors.New("it sends bytes of its own after its answer")
	}
	return nil
}

// readAnswer reads the head of an HTTP answer and returns its status: "200 OK". Package
// net/http would double what the way over TCP adds to a UE's program.
func readAnswer(r *bufio.Reader) (status string, err error) {
	line, err := r.ReadString('\n')
	version, status, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err == nil && (!ok || !strings.HasPrefix(version, "HTTP/1.") || len(status) < 3) {
		err = fmt.Errorf("it begins with %.40q", line)
	}
	for err == nil && strings.TrimRight(line, "\r\n") != "" {
		line, err = r.ReadString('\n')
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return status, err
}
