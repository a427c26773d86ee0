package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// unknownArticle is what the demo's receiver does not sell until it is told to.
const unknownArticle = "RB-99"

// A demoOrder is what a partner orders.
type demoOrder struct {
	number int
	day    time.Time
	lines  []demoLine
}

type demoLine struct {
	article, name   string
	quantity, cents int64
}

// total is what the receiver must have booked: an opinion of its own, by integers.
func (o demoOrder) total() *big.Rat {
	var cents int64
	for _, l := range o.lines {
		cents += l.quantity * l.cents
	}
	return big.NewRat(cents, 100)
}

// demoArticles is the range of goods; a price over 1000 shows the French way of writing it.
func demoArticles() []demoLine {
	return []demoLine{
		{article: "RB-10", name: "Robinet à boisseau", cents: 1490}, {article: "VN-22", name: "Vanne d’arrêt", cents: 3825},
		{article: "PM-40", name: "Pompe de relevage", cents: 123450}, {article: "JT-05", name: "Joint, 5 pièces", cents: 99},
	}
}

// newOrder makes the order of a number: the same whenever it is made.
func newOrder(number int, day time.Time) demoOrder {
	o := demoOrder{number: number, day: day}
	goods := demoArticles()
	for i := range 1 + number%3 {
		l := goods[(number+i)%len(goods)]
		l.quantity = int64(1 + (number+2*i)%7)
		o.lines = append(o.lines, l)
	}
	return o
}

func newOrders(first, n int, day time.Time) (list []demoOrder) {
	for i := range n {
		list = append(list, newOrder(first+i, day))
	}
	return list
}

// csvNumber and jsonNumber are the order's number as the two partners write it.
func (o demoOrder) csvNumber() string  { return fmt.Sprintf("A-%d", o.number) }
func (o demoOrder) jsonNumber() string { return fmt.Sprintf("B-%d", o.number) }

// csvFile is the file of a French supplier: semicolons, windows-1252, decimal commas, a row for each line of an order.
// With spoil two lines of one order
// are wrong, in ways that people are.
func csvFile(orders []demoOrder, spoil bool) ([]byte, error) {
	var b strings.Builder
	b.WriteString("N° commande;Date;Site;Article;Désignation;Qté;Prix HT\r\n")
	for _, o := range orders {
		for i, l := range o.lines {
			quantity := strconv.FormatInt(l.quantity, 10)
			if spoil && len(o.lines) > 1 && i < 2 {
				quantity = [...]string{"1O", "-3"}[i]
			}
			fmt.Fprintf(&b, "%s;%s;W1;%s;%s;%s;%s\r\n", o.csvNumber(), o.day.Format("02.01.2006"), l.article, l.name, quantity, frenchPrice(l.cents))
		}
		spoil = spoil && len(o.lines) == 1 // only one order is wrong
	}
	return charmap.Windows1252.NewEncoder().Bytes([]byte(b.String()))
}

// frenchPrice writes 123450 as 1 234,50, with a space that does not break.
func frenchPrice(cents int64) string {
	euros := strconv.FormatInt(cents/100, 10)
	if len(euros) > 3 {
		euros = euros[:len(euros)-3] + "\u00A0" + euros[len(euros)-3:]
	}
	return fmt.Sprintf("%s,%02d", euros, cents%100)
}

// jsonFile is the file of a partner whose robots order by themselves.
func jsonFile(orders []demoOrder) ([]byte, error) {
	type line struct {
		Article string      `json:"article"`
		Qty     int64       `json:"qty"`
		Price   json.Number `json:"price"`
	}
	type order struct {
		ID    string `json:"id"`
		Date  string `json:"date"`
		Lines []line `json:"lines"`
	}
	var file struct {
		Sender string  `json:"sender"`
		Orders []order `json:"orders"`
	}
	file.Sender = "robot kitchen"
	for _, o := range orders {
		made := order{ID: o.jsonNumber(), Date: o.day.Format(time.DateOnly)}
		for _, l := range o.lines {
			made.Lines = append(made.Lines, line{l.article, l.quantity, json.Number(fmt.Sprintf("%d.%02d", l.cents/100, l.cents%100))})
		}
		file.Orders = append(file.Orders, made)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	err := enc.Encode(file)
	return b.Bytes(), err
}
