package rest

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/outbox"
)

// What is said of an answer without sending anything is what a delivery says of the same answer.
func TestAnAnswerIsJudgedAsIfItHadComeOverTheLine(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {Idempotency: Idempotency{Header: "none"}}} {
		for _, method := range []string{"", "PUT"} {
			for _, status := range []int{200, 201, 302, 400, 401, 404, 409, 429, 500, 503} {
				t.Run(fmt.Sprint(o.Idempotency.Header, method, status), func(t *testing.T) {
					t.Parallel()
					const body = `{"title": "no", "received": true}`
					headers := http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {"7"}}
					s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
						for name := range headers {
							w.Header().Set(name, headers.Get(name))
						}
						w.WriteHeader(status)
						_, _ = w.Write([]byte(body))
					})
					m := order(1)
					m.Judge = func(r outbox.Response) (outbox.Verdict, []outbox.Capture, string) {
						return outbox.Passed, []outbox.Capture{{Name: "body", Value: string(r.Body)}}, ""
					}
					if method != "" {
						m.Headers = append(m.Headers, outbox.Header{Name: ":method", Value: method})
					}
					over := o
					over.URL = s.URL
					want, wantErr := one(t, start(t, over, Limits{}, nil), m)
					got, err := Judged(o, &m, outbox.Response{Status: status, Headers: headers, Body: []byte(body)}, clock)
					want.Took = 0
					if diff := cmp.Diff(want, got); diff != "" {
						t.Error(diff)
					}
					var e, wanted *outbox.Error
					if errors.As(wantErr, &wanted) != errors.As(err, &e) || e != nil && (e.Fault != wanted.Fault || e.After != wanted.After || e.Status != wanted.Status) {
						t.Errorf("%+v, not %+v", err, wantErr)
					}
				})
			}
		}
	}
}
