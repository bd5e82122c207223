package camara

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func token(context.Context) (string, error) { return goodToken, nil }

var table = Table{"UK-SOUTH": {"m1.example:4434", "m2.example:4434"}}

// open returns a Discovery of o.
func open(t *testing.T, o *operator, change func(*Config)) *Discovery {
	t.Helper()
	c := Config{URL: o.URL + "/simple-edge-discovery/v2", Token: token, Places: table}
	if change != nil {
		change(&c)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The zone that the operator names leads to the managers that the application has for it, by each version of the API.
func TestManagers(t *testing.T) {
	o := newOperator(t, nil)
	for _, version := range []string{"v2", "v1", "v1/"} {
		if version != "v2" {
			o.set(func(w http.ResponseWriter, _ *http.Request) { // a list of one
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				io.WriteString(w, "["+goodZone+"]")
			})
		}
		d := open(t, o, func(c *Config) { c.URL = o.URL + "/simple-edge-discovery/" + version })
		got, err := d.Managers(t.Context())
		if err != nil || !slices.Equal(got, table["UK-SOUTH"]) {
			t.Errorf("%s: %v, %v; want those of UK-SOUTH", version, got, err)
		}
	}
}

// A device is told as each version has it: in the body, or in headers.
func TestDevice(t *testing.T) {
	o := newOperator(t, nil)
	for _, tt := range []struct {
		device     *Device
		body, head string
	}{
		{nil, `{}`, ""},
		{&Device{PhoneNumber: "+441234567890"}, `{"device":{"phoneNumber":"+441234567890"}}`, "Phone-Number=+441234567890"},
		{
			&Device{IPv4: netip.MustParseAddrPort("84.125.93.10:59765")},
			`{"device":{"ipv4Address":{"publicAddress":"84.125.93.10","publicPort":59765}}}`, "IPv4-Address=84.125.93.10 Public-port=59765",
		},
		{
			&Device{IPv4: netip.MustParseAddrPort("84.125.93.10:0"), PrivateIPv4: netip.MustParseAddr("10.0.0.7"), IPv6: netip.MustParseAddr("2001:db8::7"), NetworkAccessIdentifier: "7@example.com"},
			`{"device":{"networkAccessIdentifier":"7@example.com","ipv4Address":{"publicAddress":"84.125.93.10","privateAddress":"10.0.0.7"},"ipv6Address":"2001:db8::7"}}`,
			"IPv4-Address=84.125.93.10 IPv6-Address=2001:db8::7 Network-Access-Identifier=7@example.com",
		},
	} {
		for version, want := range map[string]string{"v2": tt.body, "v1": tt.head} {
			d := open(t, o, func(c *Config) { c.Device, c.URL = tt.device, o.URL+"/simple-edge-discovery/"+version })
			_, err := d.Closest(t.Context())
			if _, got := o.seen(); got != want || err != nil {
				t.Errorf("%s, %+v: asked for %s, %v; want %s", version, tt.device, got, err, want)
			}
		}
	}
}

// What no operator would take is said before anybody is asked.
func TestNew(t *testing.T) {
	good := Config{URL: "https://api.example/simple-edge-discovery/v2", Token: token, Places: table}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	set := func(f func(*Config)) Config { c := good; f(&c); return c }
	url := func(s string) Config { return set(func(c *Config) { c.URL = s }) }
	device := func(d Device) Config { return set(func(c *Config) { c.Device = &d }) }
	for why, c := range map[string]Config{
		"not https":         url("http://api.example/v2"),
		"no URL":            url(""),
		"not an address":    url("http://localhost.evil.example/v2"),
		"a password in it":  url("https://me:secret@api.example/v2"),
		"a query":           url("https://api.example/v2?x=1"),
		"another scheme":    url("ftp://127.0.0.1/v2"),
		"no token":          set(func(c *Config) { c.Token = nil }),
		"no places":         set(func(c *Config) { c.Places = nil }),
		"a time below zero": set(func(c *Config) { c.Keep = -1 }),
		"an empty device":   device(Device{}),
		"no country":        device(Device{PhoneNumber: "01234567"}),
		"a number and more": device(Device{PhoneNumber: "+441234567890\r\nX: y"}),
		"no port":           device(Device{IPv4: netip.MustParseAddrPort("84.125.93.10:0")}),
		"private alone":     device(Device{PrivateIPv4: netip.MustParseAddr("10.0.0.7")}),
		"IPv6 for IPv4":     device(Device{IPv4: netip.MustParseAddrPort("[2001:db8::1]:1")}),
		"IPv4 for IPv6":     device(Device{IPv6: netip.MustParseAddr("10.0.0.1")}),
		"a link-local zone": device(Device{IPv6: netip.MustParseAddr("fe80::1%eth0")}),
		"an endless NAI":    device(Device{NetworkAccessIdentifier: strings.Repeat("x", 2049)}),
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", why)
		}
	}
	for _, here := range []string{"http://127.0.0.1:9091/v2", "http://[::1]/v2", "http://localhost/v2"} {
		if _, err := New(url(here)); err != nil {
			t.Errorf("%s: %v", here, err)
		}
	}
}

// The scenarios of the API's own tests that end in an error: status, code and what to do are told.
func TestRefusals(t *testing.T) {
	o := newOperator(t, nil)
	d := open(t, o, nil)
	for _, tt := range []struct {
		status       int
		code, advice string
	}{
		{400, "INVALID_ARGUMENT", ""},
		{403, "INVALID_TOKEN_CONTEXT", ""},
		{404, "IDENTIFIER_NOT_FOUND", ""},
		{422, "MISSING_IDENTIFIER", "set Config.Device"},
		{422, "UNNECESSARY_IDENTIFIER", "leave Config.Device out"},
		{422, "SERVICE_NOT_APPLICABLE", ""},
		{429, "TOO_MANY_REQUESTS", ""},
		{503, "UNAVAILABLE", ""},
	} {
		o.set(func(w http.ResponseWriter, _ *http.Request) { refuse(t, w, tt.status, tt.code, "because\nof it") })
		_, err := d.Closest(t.Context())
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != tt.status || refused.Code != tt.code || refused.Message != "because\nof it" || refused.Correlator == "" {
			t.Errorf("%d %s: %v; want it as it was said", tt.status, tt.code, err)
		} else if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, tt.advice) || !strings.Contains(text, refused.Correlator) {
			t.Errorf("%d %s: %q; want one line with %q and the correlator", tt.status, tt.code, text, tt.advice)
		}
	}
	bad := open(t, o, func(c *Config) { c.Token = func(context.Context) (string, error) { return "old", nil } })
	if _, err := bad.Closest(t.Context()); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "old") {
		t.Errorf("an old token: %v; want 401, and not the token", err)
	}
}

// What is no answer is an error: too much, another kind, no zone, names that none can have.
func TestBadAnswers(t *testing.T) {
	o := newOperator(t, nil)
	d := open(t, o, nil)
	long := strings.Repeat("x", 65)
	for why, tt := range map[string]struct{ kind, body string }{
		"empty":               {"application/json", ""},
		"no JSON":             {"application/json", "<html>"},
		"a page":              {"text/html", goodZone},
		"no kind":             {"", goodZone},
		"null":                {"application/json", "null"},
		"a list of none":      {"application/json", "[]"},
		"a list of numbers":   {"application/json", "[1]"},
		"no provider":         {"application/json", `{"edgeCloudZoneId":"a","edgeCloudZoneName":"b"}`},
		"an endless name":     {"application/json", strings.Replace(goodZone, "UK-SOUTH", long, 1)},
		"a line in a name":    {"application/json", strings.Replace(goodZone, "UK-SOUTH", `UK\nSOUTH`, 1)},
		"a number for a name": {"application/json", `{"edgeCloudZoneId":1,"edgeCloudZoneName":"b","edgeCloudProvider":"c"}`},
		"too much":            {"application/json", goodZone + strings.Repeat(" ", maxBody)},
		"too deep":            {"application/json", strings.Repeat("[", 30000)},
	} {
		o.set(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tt.kind)
			io.WriteString(w, tt.body)
		})
		if z, err := d.Closest(t.Context()); err == nil {
			t.Errorf("%s: %v, and no error", why, z)
		}
	}
}

// An endless refusal is told in part, and what is no JSON without its text.
func TestEndlessRefusals(t *testing.T) {
	o := newOperator(t, nil)
	d := open(t, o, nil)
	for _, body := range []string{`{"status":500,"code":"INTERNAL","message":"` + strings.Repeat("é", 10000) + `"}`, strings.Repeat("x", 10*maxBody), `{"code":"` + strings.Repeat("X", 97) + `"}`, `{"code":"A B"}`} {
		o.set(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(500)
			io.WriteString(w, body)
		})
		if _, err := d.Closest(t.Context()); err == nil || len(err.Error()) > 4096 || !strings.Contains(err.Error(), "500") {
			t.Errorf("%.40s...: %d bytes of error: %.100v", body, len(err.Error()), err)
		}
	}
}

// No redirect is followed, to wherever: the token stays with whom it is for.
func TestRedirectsAreRefused(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed, with the token %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	o := newOperator(t, nil)
	d := open(t, o, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		o.set(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/simple-edge-discovery/v2", status)
		})
		if _, err := d.Closest(t.Context()); err == nil || !strings.Contains(err.Error(), "Config.URL") || !strings.Contains(err.Error(), elsewhere.URL) {
			t.Errorf("%d: %v; want an error that says where it leads, and what to do", status, err)
		}
	}
}

// A token that none can be is not sent, and one that cannot be had is an error.
func TestBadTokens(t *testing.T) {
	o := newOperator(t, nil)
	for _, bad := range []string{"", "a b", "a\r\nX-Evil: 1", "ü", strings.Repeat("x", maxToken+1)} {
		d := open(t, o, func(c *Config) { c.Token = func(context.Context) (string, error) { return bad, nil } })
		if _, err := d.Closest(t.Context()); err == nil {
			t.Errorf("%.20q was sent", bad)
		}
	}
	want := errors.New("no consent")
	d := open(t, o, func(c *Config) { c.Token = func(context.Context) (string, error) { return "", want } })
	if _, err := d.Managers(t.Context()); !errors.Is(err, want) {
		t.Errorf("%v; want %v", err, want)
	}
	if n, _ := o.seen(); n != 0 {
		t.Errorf("the API was asked %d times without a token", n)
	}
}

// A transport answers without a network, so that time is virtual.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, header http.Header, body string) *http.Response {
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// An answer counts for a minute; then the API is asked again. While it fails the last zone counts, and it is left alone for as long as it wants.
func TestKeepAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, status := 0, 200
		d, err := New(Config{URL: "https://api.example/v2", Token: token, Places: table, Transport: transport(func(*http.Request) (*http.Response, error) {
			asked++
			if status != 200 {
				return response(status, http.Header{"Retry-After": {"30"}}, `{"status":429,"code":"TOO_MANY_REQUESTS","message":""}`), nil
			}
			return response(200, http.Header{}, goodZone), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		managers := func(what string, wantAsked int, wantErr bool) {
			t.Helper()
			if got, err := d.Managers(t.Context()); asked != wantAsked || (err != nil) != wantErr || !wantErr && !slices.Equal(got, table["UK-SOUTH"]) {
				t.Errorf("%s: %v, %v after %d requests; want %d", what, got, err, asked, wantAsked)
			}
		}
		status = 429
		managers("refused at first", 1, true)
		managers("at once again", 1, true)
		status = 200
		time.Sleep(29 * time.Second)
		managers("before it wants to be asked", 1, true)
		time.Sleep(time.Second)
		managers("when it wants to be", 2, false)
		time.Sleep(59 * time.Second)
		managers("within the minute", 2, false)
		time.Sleep(time.Second)
		managers("after it", 3, false)
		status = 429
		time.Sleep(time.Minute)
		managers("refused now", 4, false)
		managers("and left alone", 4, false)
		time.Sleep(30 * time.Second)
		status = 200
		managers("asked again", 5, false)
	})
}

// An API that does not answer has three seconds, or as long as the caller has.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Config{URL: "https://api.example/v2", Token: token, Places: table, Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := d.Managers(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != usualTimeout {
			t.Errorf("%v after %v; want a deadline after %v", err, time.Since(begin), usualTimeout)
		}
		time.Sleep(shortestRest)
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		go cancel(enough)
		if _, err := d.Managers(ctx); err == nil {
			t.Error("a caller that has ended is answered")
		}
	})
}

// How long an API wants to be left alone is believed within bounds.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for s, want := range map[string]time.Duration{
			"": time.Second, "0": time.Second, "30": 30 * time.Second, "-5": time.Second, "99999999": longestRest, "999999999999999": time.Second, "soon": time.Second,
			in(time.Minute): time.Minute, in(-time.Hour): time.Second, in(1000 * time.Hour): longestRest,
		} {
			if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {s}}}); got != want {
				t.Errorf("%q: %v; want %v", s, got, want)
			}
		}
	})
}

// A table's entry is found by ID before name, and that of "" is for the rest.
func TestTable(t *testing.T) {
	z := Zone{ID: "1-2", Name: "UK", Provider: "P"}
	for _, tt := range []struct {
		table Table
		want  string
	}{
		{Table{"1-2": {"id:1"}, "UK": {"name:1"}, "": {"other:1"}}, "id:1"},
		{Table{"UK": {"name:1"}, "": {"other:1"}}, "name:1"},
		{Table{"FR": {"fr:1"}, "": {"other:1"}}, "other:1"},
	} {
		if got, err := tt.table.In(t.Context(), z); err != nil || !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%v: %v, %v; want %s", tt.table, got, err, tt.want)
		}
	}
	if got, err := (Table{"FR": nil}).In(t.Context(), z); err == nil {
		t.Errorf("a zone that is in no table: %v", got)
	}
}

// A zone that is no name of DNS is not looked up.
func TestSRVOfOddZones(t *testing.T) {
	for _, id := range []string{"", "a.b", "a b", "-a", "a-", strings.Repeat("x", 64), "é", "a\x00"} {
		if got, err := (SRV{Domain: "edge.example"}).In(t.Context(), Zone{ID: id}); err == nil || !strings.Contains(err.Error(), "Table") {
			t.Errorf("%q: %v, %v; want an error that says what to do", id, got, err)
		}
	}
}

func FuzzReadZone(f *testing.F) {
	f.Add([]byte(goodZone))
	f.Add([]byte("[" + goodZone + "]"))
	f.Add([]byte(" null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := readZone(b)
		if err == nil && (z.ID == "" || z.Name == "" || z.Provider == "" || len(z.ID) > 4*128 || len(z.Name) > 4*64 || strings.ContainsAny(z.Name, "\n\r\x00")) {
			t.Errorf("%q is taken for a zone", z)
		}
	})
}
