package camara_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/discover/camara"
)

// An operator says that the UE is closest to zone UK-SOUTH, and the application knows which manager is there.
func Example() {
	operator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"edgeCloudZoneId": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "edgeCloudZoneName": "UK-SOUTH", "edgeCloudProvider": "Example Provider"}`)
	}))
	defer operator.Close()

	d, err := camara.New(camara.Config{
		URL:    operator.URL + "/simple-edge-discovery/v2",
		Token:  func(context.Context) (string, error) { return "of-oauth", nil },
		Places: camara.Table{"UK-SOUTH": {"manager.uk-south.example:4434"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var managers ue.Discoverer = d // ue.Config.Managers
	fmt.Println(managers.Managers(context.Background()))
	// Output:
	// [manager.uk-south.example:4434] <nil>
}
