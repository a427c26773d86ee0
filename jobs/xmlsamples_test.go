package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"waybill/ledger"
)

// sample reads a file of the samples beside the project; the test is skipped, by its name, where they are not.
func sample(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "samples", filepath.FromSlash(path)))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no sample " + path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sampleJob is a job of examples/reading, without its name.
func sampleJob(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", "reading", "jobs.d", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, job, ok := strings.Cut(string(text), "\njobs:\n  "+name+":\n")
	if !ok {
		t.Fatalf("%s.yaml does not hold the job %s alone", name, name)
	}
	return strings.ReplaceAll("\n"+job, "\n    ", "\n")
}

// TestXMLSamples runs the jobs of examples/reading over real files. What they should give was computed by another program.
func TestXMLSamples(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ job, file, want string }{
		{"ubl", "ubl/UBL-Order-2.1-Example.xml", `accepted 1 of 1: {"id":"34","issued":"2010-01-20","currency":"SEK","buyer":"7300072311115","payable":6225,"drawing":true,` +
			`"lines":[{"no":"1","qty":120,"unit":"LTR","gtin":"1234567890123","net":6000},{"no":"2","qty":15,"unit":"C62","gtin":"123452340123","net":225}]}`},
		{"ubl", "ubl/UBL-OrderResponse-2.1-Example.xml", "rejected 0 of 0: records: there is no /Order in the document, whose root element is <OrderResponse>|0/0 records: there is no /Order in the document, whose root element is <OrderResponse>"},
		{"commerceml", "commerceml/carono-orders.xml", `accepted 1 of 1: {"version":"2.03","order":"20","at":"2007-10-16 15:40:40","buyer":{"id":"1#admin#Петров Петр","name":"Петр Петров"},` +
			`"payment":"Наличный расчет","total":9683.42,"items":[{"id":"cbcf498f-55bc-11d9-848a-00112f43529a","quantity":1.00}]}`},
		{"commerceml", "commerceml/argentcrusade-documents.xml", "rejected 0 of 2: 1 of 2 records are bad, none allowed|1/4 the goods do not add up to the total"},
		{"commerceml", "commerceml/dobromyslov-bitrix-query-response-empty.xml", "delivered 0 of 0: no records"},
		{"weighing", "b2mml-courbon/PRO-20121210181416-27942.xml", `accepted 1 of 1: {"order":"258456","at":"2009-12-10T17:14:16Z","total":966.000,"lines":[` +
			`{"material":"CRBN0001","quantity":5.000},{"material":"CRBN0002","quantity":50.000},{"material":"CRBN0001","quantity":811.000},{"material":"CRBN0003","quantity":100.000}]}`},
		{"stock", "b2mml-courbon/INV-20121210175555-0001L0001_01.xml", `accepted 1 of 1: {"material":"CRBN0001","lot":"CRBN0001_LOT01","quantity":24.910,"unit":"KG"}`},
		{"stock", "b2mml-courbon/LOT-20121210170718-0001L0001.xml", `accepted 1 of 1: {"material":"CRBN0001","lot":"CRBN0001_LOT01","expires":"2013-12-08T00:00:00Z"}`},
		{"recipes", "beerxml/pybeerxml-CoffeeStout.xml", `accepted 1 of 1: {"name":"Coffee Stout","liters":20.82000000,"hops":[{"name":"US Fuggles","amount":0.02834952},{"name":"UK Fuggles","amount":0.02834952}],"grains":4}`},
		{"recipes", "beerxml/pybeerxml-Oatmeal-Stout.xml", `accepted 1 of 1: {"name":"Oatmeal Stout no. 1","liters":25,"hops":[{"name":"Fuggle","amount":0.1}],"grains":5}`},
		{"recipes", "beerxml/rossmerr-recipes.xml", `accepted 1 of 1: {"name":"Burton Ale","liters":18.927168,"hops":[{"name":"Goldings, East Kent","amount":0.02835}],"grains":1}`},
		{"technology-card", "batchml/cough-syrup-master-recipe-batchml-v02.xml", `accepted 1 of 1: {"id":"1","steps":3,"inner":4}`},
	} {
		t.Run(c.job+" "+filepath.Base(c.file), func(t *testing.T) {
			t.Parallel()
			text := sample(t, c.file)
			if got := brief(t, compile(t, sampleJob(t, c.job)), text); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestXMLSamplesCountAndAddUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		job, file string
		records   int
		sum       string // of the prices
		first     string
	}{
		{"goods", "commerceml/carono-import.xml", 2, "0", "bd72d910-55bc-11d9-848a-00112f43529a"},
		{"goods", "commerceml/dobromyslov-import0_1.xml", 36, "0", "bd8c4e15-18f9-11e7-80c2-0cc47ab29cd1"},
		{"goods", "commerceml/argentcrusade-products.xml", 1, "0", "ac0184b3-7821-11e6-80ca-a72a8c906e0a"},
		{"offers", "commerceml/carono-offers.xml", 5, "7104", "bd72d910-55bc-11d9-848a-00112f43529a#90c55447-d3a8-11e4-9423-e0cb4ed5eed4"},
		{"offers", "commerceml/dobromyslov-offers0_1.xml", 44, "4400", "bd8c4e15-18f9-11e7-80c2-0cc47ab29cd1"},
		{"offers", "commerceml/argentcrusade-prices.xml", 3, "2180", "0eac4b03-969e-11e6-80cc-8ba31e8e113c"},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			t.Parallel()
			text := sample(t, c.file)
			sum, first, n := decimal.Zero, "", 0
			o, err := compile(t, sampleJob(t, c.job)).Run(t.Context(), input("f", text), func(r *Rendered) error {
				var body struct {
					ID    string          `json:"id"`
					Price decimal.Decimal `json:"price"`
				}
				if n++; n == 1 {
					defer func() { first = body.ID }()
				}
				err := json.Unmarshal(r.Message.Body, &body)
				sum = sum.Add(body.Price)
				return err
			})
			if err != nil || o.State != ledger.Accepted || o.Records != int64(c.records) || sum.String() != c.sum || first != c.first {
				t.Errorf("%s: %d records that add up to %s, the first is %s (%s, %v)", o.State, o.Records, sum, first, o.Reason, err)
			}
		})
	}
}

// TestTheTwoOrdersOfUBLAreAConflict: they share id and UUID, with totals of 100.00 and 1000.00.
func TestTheTwoOrdersOfUBLAreAConflict(t *testing.T) {
	t.Parallel()
	one, other := sample(t, "ubl/UBL-Order-2.0-Example.xml"), sample(t, "ubl/UBL-Order-2.0-Example-International.xml")
	p := newPlant(t, "orders", strings.Replace(sampleJob(t, "ubl"), "source: suppliers", "source: in", 1))
	if e := p.work(p.land1("1.xml", one)); e.State != ledger.Accepted || e.Messages != 1 {
		t.Fatalf("the first is %s: %s", e.State, e.Reason)
	}
	e := p.work(p.land1("2.xml", other))
	rejects, err := p.ledger.Rejects(t.Context(), e.ID)
	p.must(err)
	if e.State != ledger.Rejected || len(rejects) != 1 || !strings.Contains(rejects[0].Reason, "(#1)") {
		t.Errorf("the second is %s: %s", e.State, fmt.Sprint(rejects))
	}
}
