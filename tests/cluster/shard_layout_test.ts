// The division of a context among shards, against a plain count of positions.
import { assert, assertEquals } from "@std/assert";
import { capacityOf, lengthOfShard, pageChunks, shardAt } from "../../src/cluster/shard_layout.ts";
import { testRandomly } from "../support/random.ts";

testRandomly("lengthOfShard: as many as positions that belong to the shard", (random) => {
  for (let i = 0; i < 50; i++) {
    const layout = { shards: random.integer(1, 5), page: random.integer(1, 9) };
    const length = random.integer(0, 120);
    const counts = Array(layout.shards).fill(0);
    for (let p = 0; p < length; p++) counts[Math.floor(p / layout.page) % layout.shards]++;
    const lengths = counts.map((_, shard) => lengthOfShard(layout, shard, length));
    assertEquals(lengths, counts);
  }
});

testRandomly("pageChunks: all new tokens once, each chunk on one page, few lengths", (random) => {
  for (let i = 0; i < 50; i++) {
    const layout = { shards: 3, page: random.integer(1, 40) };
    const most = random.integer(1, 50);
    const [start, count] = [random.integer(0, 100), random.integer(1, 150)];
    const chunks = pageChunks(layout, { start, count, most });
    let at = 0;
    for (const { from, count } of chunks) {
      assertEquals(from, at);
      at += count;
      const [first, last] = [start + from, start + at - 1];
      assertEquals(Math.floor(first / layout.page), Math.floor(last / layout.page));
      assertEquals(shardAt(layout, first), Math.floor(last / layout.page) % 3);
      assert([1, 8, Math.min(layout.page, most)].includes(count), `${count} tokens`);
    }
    assertEquals(at, count);
  }
});

testRandomly("capacityOf: the tokens before the first that its shard has no room for", (random) => {
  for (let i = 0; i < 50; i++) {
    const layout = { shards: random.integer(1, 5), page: random.integer(1, 9) };
    const rooms = Array.from({ length: layout.shards }, () => random.integer(1, 40));
    let length = 0;
    while (rooms.every((room, shard) => lengthOfShard(layout, shard, length + 1) <= room)) length++;
    assertEquals(capacityOf(layout, rooms), length);
  }
});
