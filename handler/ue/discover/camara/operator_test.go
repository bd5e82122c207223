package camara

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// An operator answers as the API's description says, and complains about requests that do not keep to it.
type operator struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	asked  int
	device string // of the last request, as it came
	answer func(w http.ResponseWriter, r *http.Request)
}

const (
	goodToken = "eyJhbGciOi.good"
	goodZone  = `{"edgeCloudZoneId":"f81d4fae-7dec-11d0-a765-00a0c91e6bf6","edgeCloudZoneName":"UK-SOUTH","edgeCloudProvider":"Example Provider"}`
)

// newOperator starts an operator. A nil answer is goodZone.
func newOperator(t testing.TB, answer func(w http.ResponseWriter, r *http.Request)) *operator {
	o := &operator{t: t, answer: answer}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /simple-edge-discovery/v2/retrieve-closest-edge-cloud-zone", o.post)
	mux.HandleFunc("GET /simple-edge-discovery/v1/edge-cloud-zones", o.get)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("asked for %s %s", r.Method, r.URL)
		w.WriteHeader(404)
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

func (o *operator) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = requestBody.check(body)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/json" {
		o.t.Errorf("the request %s of %q is not as described: %v", body, r.Header.Get("Content-Type"), err)
	}
	o.serve(w, r, string(body))
}

func (o *operator) get(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "filter=closest" || r.ContentLength > 0 {
		o.t.Errorf("the query is %q, want filter=closest and no body", r.URL.RawQuery)
	}
	var device []string
	for _, h := range []string{"Phone-Number", "IPv4-Address", "Public-port", "IPv6-Address", "Network-Access-Identifier"} {
		if v := r.Header.Get(h); v != "" {
			device = append(device, h+"="+v)
		}
	}
	o.serve(w, r, strings.Join(device, " "))
}

// serve answers a request that is as described, of a device.
func (o *operator) serve(w http.ResponseWriter, r *http.Request, device string) {
	correlator := r.Header.Get("x-correlator")
	if correlator == "" || !regexp.MustCompile(correlatorPattern).MatchString(correlator) {
		o.t.Errorf("the correlator is %q", correlator)
	}
	o.mu.Lock()
	o.asked++
	o.device = device
	answer := o.answer
	o.mu.Unlock()
	w.Header().Set("x-correlator", correlator)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+goodToken:
		refuse(o.t, w, 401, "UNAUTHENTICATED", "the token is not valid")
	case answer != nil:
		answer(w, r)
	default:
		grant(o.t, w, goodZone, zone)
	}
}

// grant answers with what keeps to s.
func grant(t testing.TB, w http.ResponseWriter, body string, s schema) {
	if err := s.check([]byte(body)); err != nil {
		t.Errorf("the test's own answer is not as described: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, body)
}

// refuse answers as the description's errors are.
func refuse(t testing.TB, w http.ResponseWriter, status int, code, message string) {
	body := fmt.Sprintf(`{"status":%d,"code":%q,"message":%q}`, status, code, message)
	if err := errorInfo.check([]byte(body)); err != nil {
		t.Errorf("the test's own refusal is not as described: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// set changes what is answered.
func (o *operator) set(answer func(w http.ResponseWriter, r *http.Request)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// seen returns how often was asked, and for which device last.
func (o *operator) seen() (int, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked, o.device
}
