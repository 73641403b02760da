INSERT INTO skep.members (address) VALUES ($1::text) RETURNING member
