package camara

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
)

const (
	usualKeep    = time.Minute
	usualTimeout = 3 * time.Second  // of the five that an attempt to reach a manager has
	longestRest  = 10 * time.Minute // that an operator's Retry-After is followed
	shortestRest = time.Second      // after a failure
	maxBody      = 64 << 10
	maxHeader    = 64 << 10
	maxToken     = 16 << 10
)

// A Config configures a Discovery. URL, Token and Places must be set.
type Config struct {
	// URL is the API's, with its version: "https://api.operator.example/simple-edge-discovery/v2". It is https, or of this machine.
	URL string
	// Token returns the access token of a request. It is called before each one, by one goroutine at a time, and returns when ctx ends.
	Token func(ctx context.Context) (string, error)
	// Device says which device is meant. Nil means the one that the token was issued for, which is a three-legged one then: with such a
	// token the API refuses a Device, and with a two-legged one it needs it.
	Device *Device
	// Places says where the managers of a zone are.
	Places Places
	// Keep is how long an answer counts. Zero means one minute.
	Keep time.Duration
	// Timeout is how long the API may take. Zero means 3 s. A UE gives an attempt to find and reach a manager 5 s.
	Timeout time.Duration
	// Transport makes the requests. Nil means net/http's usual one, with the proxies of the environment.
	Transport http.RoundTripper
}

// A Discovery finds offload managers by the zone closest to a device. Any number of goroutines may use it.
type Discovery struct {
	// Set by New, then constant.
	conf   Config
	ask    request
	client *http.Client

	asking chan struct{} // cap 1: held by the one who asks

	mu    sync.Mutex // leaf
	zone  Zone       // of the last answer
	known time.Time  // when that was; zero: never
	rest  time.Time  // until which the API is not asked
	why   error      // it failed
}

// New returns a Discovery. Its error says what is wrong with c. Nothing is asked yet.
func New(c Config) (*Discovery, error) {
	u, err := checkURL(c.URL)
	switch {
	case err != nil:
		return nil, err
	case c.Token == nil:
		return nil, errors.New("Config.Token is not set: the API wants an access token")
	case c.Places == nil:
		return nil, errors.New("Config.Places is not set: the API names zones, and no managers; a camara.Table says where those are")
	case c.Keep < 0 || c.Timeout < 0:
		return nil, errors.New("Config.Keep or Config.Timeout is below zero")
	}
	if c.Device != nil {
		d := *c.Device
		if c.Device = &d; d.check() != nil {
			return nil, fmt.Errorf("Config.Device: %w", d.check())
		}
	}
	c.Keep, c.Timeout = cmp.Or(c.Keep, usualKeep), cmp.Or(c.Timeout, usualTimeout)
	if c.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxHeader
		t.DisableKeepAlives = true // the next request is a minute away
		c.Transport = t
	}
	d := &Discovery{conf: c, ask: requestOf(u, c.Device), asking: make(chan struct{}, 1)}
	d.client = &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return d, nil
}

// checkURL says what is wrong with the URL of an API.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Config.URL: %w", err)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("Config.URL %.200q is not that of an API: write https://api.operator.example/simple-edge-discovery/v2, for example", s)
	case u.Scheme == "http" && !isHere(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("Config.URL %.200q has not https, so anybody on the way would read the token", s)
	}
	return u, nil
}

// isHere says whether host is this machine.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Managers implements the Discoverer of package ue.
func (d *Discovery) Managers(ctx context.Context) ([]string, error) {
	z, err := d.current(ctx)
	if err != nil {
		return nil, err
	}
	all, err := d.conf.Places.In(ctx, z)
	if err != nil {
		return nil, fmt.Errorf("find the managers of %s: %w", z, err)
	}
	return all, nil
}

// current returns the zone that counts.
func (d *Discovery) current(ctx context.Context) (Zone, error) {
	select {
	case d.asking <- struct{}{}:
		defer func() { <-d.asking }()
	case <-ctx.Done():
		return Zone{}, context.Cause(ctx)
	}
	d.mu.Lock()
	zone, known, rest, why := d.zone, d.known, d.rest, d.why
	d.mu.Unlock()
	now := time.Now()
	if !known.IsZero() && (now.Sub(known) < d.conf.Keep || now.Before(rest)) {
		return zone, nil
	}
	if now.Before(rest) {
		return Zone{}, why
	}
	fresh, err := d.Closest(ctx)
	if err != nil && !known.IsZero() {
		return zone, nil
	}
	return fresh, err
}

// Closest asks the API which zone is the closest, whatever was answered before. Its error is an [*Error] where the API has refused.
func (d *Discovery) Closest(ctx context.Context) (Zone, error) {
	z, rest, err := d.closest(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); err != nil {
		d.rest, d.why = now.Add(rest), err
	} else {
		d.zone, d.known, d.rest, d.why = z, now, time.Time{}, nil
	}
	return z, err
}

// closest asks. Where that failed, rest is how long not to ask again.
func (d *Discovery) closest(ctx context.Context) (z Zone, rest time.Duration, err error) {
	rest = shortestRest
	ctx, cancel := context.WithTimeout(ctx, d.conf.Timeout)
	defer cancel()
	token, err := d.conf.Token(ctx)
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return z, rest, fmt.Errorf("get an access token for the edge discovery API: %w", err)
	}
	correlator := newCorrelator()
	req, err := d.ask.to(ctx, token, correlator)
	if err != nil {
		return z, rest, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return z, rest, fmt.Errorf("ask for the closest edge cloud zone: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return z, rest, fmt.Errorf("read the answer of the edge discovery API (x-correlator %s): %w", correlator, err)
	}
	if resp.StatusCode != http.StatusOK {
		return z, retryAfter(resp), errorOf(resp, body, correlator)
	}
	if z, err = zoneOf(resp, body); err != nil {
		err = fmt.Errorf("the answer of the edge discovery API is none (x-correlator %s): %w", correlator, err)
	}
	return z, rest, err
}

// checkToken says whether a token is one that a header can have (RFC 6750).
func checkToken(s string) error {
	if s == "" || len(s) > maxToken {
		return fmt.Errorf("Config.Token has returned %d bytes", len(s))
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return errors.New("Config.Token has returned what is no token: it has a character that none may have")
		}
	}
	return nil
}

// retryAfter returns how long the API wants to be left alone.
func retryAfter(resp *http.Response) time.Duration {
	s := resp.Header.Get("Retry-After")
	rest := shortestRest
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		rest = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		rest = time.Until(at)
	}
	return min(max(rest, shortestRest), longestRest)
}

// Places says where the offload managers of an edge cloud zone are.
type Places interface {
	// In returns the addresses of the managers in z, each "host:port", the best first. It returns when ctx ends.
	In(ctx context.Context, z Zone) ([]string, error)
}

// A Table has the addresses of the managers in a zone, each "host:port", by the zone's ID or else by its name. Those of "" are for zones that it does not name.
type Table map[string][]string

// In implements Places.
func (t Table) In(_ context.Context, z Zone) ([]string, error) {
	for _, key := range []string{z.ID, z.Name, ""} {
		if all, ok := t[key]; ok {
			return all, nil
		}
	}
	return nil, errors.New("the table names neither it nor others: add its ID, its name, or an entry for \"\"")
}

// SRV finds the managers of a zone by DNS: by the records _bungee-manager._udp of the zone's ID in Domain, for example
// _bungee-manager._udp.f81d4fae-7dec-11d0-a765-00a0c91e6bf6.edge.example (RFC 2782). Their TCP has the same port.
type SRV struct {
	Domain   string
	Resolver *net.Resolver // nil: the system's
}

// In implements Places.
func (s SRV) In(ctx context.Context, z Zone) ([]string, error) {
	if !isLabel(z.ID) {
		return nil, fmt.Errorf("its ID %q is no part of a name of DNS: name its managers in a camara.Table", z.ID)
	}
	return ue.SRV{Domain: strings.ToLower(z.ID) + "." + s.Domain, Resolver: s.Resolver}.Managers(ctx)
}

// isLabel says whether s is a label of DNS that has letters, digits and hyphens (RFC 1123, section 2.1).
func isLabel(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' {
			return false
		}
	}
	return len(s) > 0 && len(s) < 64 && s[0] != '-' && s[len(s)-1] != '-'
}
