// A block cache of two parts, with a limit of write buffers that is counted in it. Only what RocksDB's headers promise is used,
// but for one thing: that a `rocksdb_options_t` of the C API begins with the `Options` that it holds.

#include <memory>

#include "rocksdb/advanced_cache.h"
#include "rocksdb/cache.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"

struct tidemill_memory {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> write_buffers;
};

static rocksdb::Options* options_of(void* options) { return reinterpret_cast<rocksdb::Options*>(options); }

extern "C" {

tidemill_memory* tidemill_memory_new(size_t capacity, int shard_bits, double high_priority,
                                     size_t write_buffers) noexcept {
  auto cache = rocksdb::NewLRUCache(capacity, shard_bits, false, high_priority);
  if (cache == nullptr) {
    // RocksDB makes none when the share is not from 0 to 1.
    cache = rocksdb::NewLRUCache(capacity, shard_bits);
  }
  auto manager = std::make_shared<rocksdb::WriteBufferManager>(write_buffers, cache, false);
  return new tidemill_memory{cache, manager};
}

void tidemill_memory_free(tidemill_memory* memory) noexcept { delete memory; }

void tidemill_memory_limit_writes(const tidemill_memory* memory, void* options) noexcept {
  options_of(options)->write_buffer_manager = memory->write_buffers;
}

// Zero when the tables have no blocks.
int tidemill_memory_cache_blocks(const tidemill_memory* memory, void* options) noexcept {
  auto* tables = options_of(options)->table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  if (tables == nullptr) {
    return 0;
  }
  auto with_cache = *tables;
  with_cache.block_cache = memory->cache;
  options_of(options)->table_factory.reset(rocksdb::NewBlockBasedTableFactory(with_cache));
  return 1;
}

size_t tidemill_memory_capacity(const tidemill_memory* memory) noexcept { return memory->cache->GetCapacity(); }

size_t tidemill_memory_used(const tidemill_memory* memory) noexcept { return memory->cache->GetUsage(); }

size_t tidemill_memory_write_buffers(const tidemill_memory* memory) noexcept {
  return memory->write_buffers->memory_usage();
}
}
