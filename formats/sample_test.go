package formats

import (
	"bytes"
	"os"
	"testing"
)

func TestSamplePurchaseOrders(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../shared/samples/csv/smooks-purchase-orders.csv")
	if err != nil {
		t.Skipf("samples are not here: %v", err)
	}
	d := decoder(t, Options{Format: "csv"}, columns("UPC_NUMBER", "CUSTOMER_NAME", "STATE", "POSTAL_CODE")...)
	got, err := read(d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
	if err != nil || len(got) != 3 || got[1] != `"4000862141405" "Maria Theresa" "" "AT6020"` {
		t.Errorf("%q, %v", got, err)
	}
}
