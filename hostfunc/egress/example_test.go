package egress_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bungee-xr/bungee/hostfunc/egress"
)

// A marked function asks a service, the same natively and on an edge host.
func Example() {
	tiles := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "tile ", r.URL.Path)
	}))
	defer tiles.Close()

	resp, err := egress.Do(context.Background(), egress.Request{URL: tiles.URL + "/7/3"})
	fmt.Printf("%d %s %v\n", resp.Status, resp.Body, err)
	// Output: 200 tile /7/3 <nil>
}
