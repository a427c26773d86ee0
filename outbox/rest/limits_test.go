package rest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/outbox"
	"waybill/outbox/outboxtest"
)

func TestConcurrencyIsSharedByAllCalls(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		now.Add(-1)
	})
	target := start(t, Options{URL: s.URL}, Limits{Concurrency: 3}, nil)
	var ms []outbox.Message
	for n := range 60 {
		ms = append(ms, order(n))
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			if err := target.Deliver(t.Context(), ms, func(_ int, _ outbox.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := most.Load(); n > 3 {
		t.Errorf("%d requests were under way at once, of 3", n)
	}
}

// TestDestinationThatIsAwayIsNotHammered: an outage costs a few connection attempts, not one a message.
func TestDestinationThatIsAwayIsNotHammered(t *testing.T) {
	t.Parallel()
	target := start(t, Options{URL: "http://away.example"}, Limits{Concurrency: 4}, nil)
	var dials atomic.Int64
	target.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errors.New("test: connection refused")
	}
	var ms []outbox.Message
	for n := range 500 {
		ms = append(ms, order(n))
	}
	o := outboxtest.Deliver(t.Context(), t, target, ms)
	tried := 0
	for i := range ms {
		err, reported := o.Err(i)
		if !reported || outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), "connection refused") {
			t.Fatalf("message %d: %v", i, err)
		}
		if !outboxtest.Untried(err) {
			tried++
		}
	}
	if n := dials.Load(); tried == 0 || tried > 8 || n > 8 {
		t.Errorf("%d messages were tried, with %d connection attempts", tried, n)
	}
}

func TestExpiredCertificateFailsClosed(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request went out") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = one(t, start(t, Options{URL: s.URL, TLS: TLS{CA: ca}}, Limits{}, nil), order(1))
	if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), "renew its certificate") {
		t.Errorf("%v", err)
	}
}
