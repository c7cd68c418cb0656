-- it's a view; don't update it
CREATE VIEW "Top Ten" AS
SELECT u.id, COALESCE(u.name, 'O''Brien') AS name, COUNT(*) FILTER (WHERE o.total >= 100.00) AS n
FROM users AS u LEFT JOIN orders o ON o.user_id = u.id
WHERE u.created_at BETWEEN '2024-01-01' AND '2024-12-31T23:59:59Z' AND u.mail LIKE '%@example.org'
GROUP BY 1, 2 HAVING SUM(o.total) > 1e3 ORDER BY n DESC NULLS LAST LIMIT 10;
