"""Writes the SQL that the sqlite3 sample runs: a shop's day. Deterministic."""
import random

source = random.Random(3)
print("""PRAGMA journal_mode=WAL;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city TEXT, since TEXT);
CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, notes TEXT);
CREATE TABLE sale(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer, day TEXT, state TEXT);
CREATE TABLE line(sale INTEGER REFERENCES sale, product INTEGER REFERENCES product, count INTEGER, price REAL);
CREATE INDEX sale_by_customer ON sale(customer, day);
CREATE INDEX line_by_sale ON line(sale);
CREATE INDEX line_by_product ON line(product);
CREATE TRIGGER line_takes_stock AFTER INSERT ON line BEGIN
  UPDATE product SET stock = stock - new.count WHERE id = new.product; END;""")
cities = "Arnhem Bergen Cork Dijon Essen Faro Gent Halle Izmir Jena".split()
words = "blue small round strong light heavy quick plain fine rough".split()


def text(value):
    return "'%s'" % value.replace("'", "''")


print("BEGIN;")
for i in range(1, 2001):
    print("INSERT INTO customer VALUES(%d, %s, %s, '20%02d-01-01');" % (
        i, text("customer %d o'%s" % (i, source.choice(words))), text(source.choice(cities)), source.randrange(25)))
for i in range(1, 1001):
    print("INSERT INTO product VALUES(%d, %s, %.2f, 10000, %s);" % (
        i, text(" ".join(source.choices(words, k=2))), source.uniform(1, 99),
        text(" ".join(source.choices(words, k=source.randrange(1, 60))))))
print("COMMIT;")
def words_text(limit):
    return " ".join(source.choices(words, k=source.randrange(1, limit)))


def report():
    """One of the questions people ask, each time with other columns, limits and conditions."""
    city, word, count = source.choice(cities), source.choice(words), source.randrange(2, 40)
    product = source.randrange(1, 1001)
    return source.choice([
        f"SELECT c.city, count(*), sum(l.count * l.price) AS total FROM customer c JOIN sale s ON s.customer = c.id "
        f"JOIN line l ON l.sale = s.id WHERE c.city <> '{city}' GROUP BY c.city ORDER BY total DESC LIMIT {count};",
        f"SELECT name, length(notes), stock FROM product WHERE notes LIKE '%{word} {source.choice(words)}%' "
        f"ORDER BY stock, name LIMIT {count};",
        f"SELECT substr(day, 1, 7) AS month, state, count(*) FROM sale GROUP BY month, state "
        f"HAVING count(*) > {count} ORDER BY 1, 2;",
        f"SELECT p.id, p.name, (SELECT sum(count) FROM line WHERE product = p.id) AS sold FROM product p "
        f"WHERE p.id IN ({', '.join(str(source.randrange(1, 1001)) for _ in range(count))}) ORDER BY sold DESC;",
        f"SELECT replace(upper(name), ' ', '-') || '/' || printf('%08.3f', price) FROM product "
        f"WHERE price BETWEEN {count} AND {count + 10} AND notes IS NOT NULL;",
        f"WITH together AS (SELECT b.product, count(*) AS times FROM line a JOIN line b ON a.sale = b.sale "
        f"WHERE a.product = {product} AND b.product <> a.product GROUP BY b.product) "
        f"SELECT p.name, times FROM together JOIN product p ON p.id = product ORDER BY times DESC, p.id LIMIT 5;",
        f"SELECT json_group_array(json_object('id', id, 'name', name, 'note', notes)) FROM product "
        f"WHERE id % {count} = 1;",
        f"SELECT day, sum(n) OVER (ORDER BY day ROWS {count} PRECEDING) FROM (SELECT day, count(*) AS n FROM sale "
        f"GROUP BY day) ORDER BY day DESC LIMIT {count};",
    ])


def lines_insert(sale):
    if source.random() < 0.5:
        rows = ", ".join("(%d, %d, %d, %.2f)" % (sale, source.randrange(1, 1001), source.randrange(1, 5),
                                                 source.uniform(1, 99)) for _ in range(source.randrange(1, 12)))
        print("INSERT INTO line VALUES %s;" % rows)
        return
    for _ in range(source.randrange(1, 6)):
        print("INSERT INTO line SELECT %d, id, %d, price FROM product WHERE id = %d;" % (
            sale, source.randrange(1, 5), source.randrange(1, 1001)))


for sale in range(1, 4001):
    if sale % 50 == 1:
        print("BEGIN;")
    print("INSERT INTO sale VALUES(%d, %d, '2024-%02d-%02d', 'new');" % (
        sale, source.randrange(1, 2001), source.randrange(1, 13), source.randrange(1, 29)))
    lines_insert(sale)
    if source.random() < 0.2:
        print("UPDATE sale SET state = 'sent' WHERE id = %d;" % source.randrange(1, sale + 1))
    if source.random() < 0.1:
        print("UPDATE product SET notes = %s WHERE id = %d;" % (text(words_text(400)), source.randrange(1, 1001)))
    if source.random() < 0.05:
        print(report())
    if sale % 50 == 0:
        print("COMMIT;")
    if sale % 1000 == 0:
        print("DELETE FROM line WHERE sale IN (SELECT id FROM sale WHERE state = 'sent');")
        print("""WITH RECURSIVE day(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM day WHERE n < 365)
  SELECT count(*), group_concat(n, '-') IS NOT NULL FROM day LEFT JOIN sale ON day = date('2024-01-01', n || ' days');""")
print("ANALYZE;\nVACUUM;\nPRAGMA integrity_check;")
