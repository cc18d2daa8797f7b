// An inverted index of the first N *.pm files below a folder, built by a pipeline of threads: one reads and hands
// documents over, several tokenise and hand their results on, one merges. Nearly every document and posting is made by
// one thread and dropped by another.
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

template <class Item> class Queue {
  public:
    explicit Queue(size_t limit) : limit_(limit) {}

    void put(Item item) {
        std::unique_lock<std::mutex> lock(mutex_);
        has_space_.wait(lock, [&] { return items_.size() < limit_; });
        items_.push_back(std::move(item));
        has_item_.notify_one();
    }

    bool take(Item &out) {
        std::unique_lock<std::mutex> lock(mutex_);
        has_item_.wait(lock, [&] { return !items_.empty() || is_closed_; });
        if (items_.empty())
            return false;
        out = std::move(items_.front());
        items_.pop_front();
        has_space_.notify_one();
        return true;
    }

    void close() {
        std::lock_guard<std::mutex> lock(mutex_);
        is_closed_ = true;
        has_item_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable has_item_, has_space_;
    std::deque<Item> items_;
    size_t limit_;
    bool is_closed_ = false;
};

struct Document {
    unsigned number;
    std::string title;
    std::vector<std::string> lines;
};

struct Postings {
    unsigned document;
    std::unordered_map<std::string, std::vector<unsigned>> positions;
};

using Index = std::map<std::string, std::vector<std::pair<unsigned, std::vector<unsigned>>>>;

const size_t lines_per_document = 60;

std::vector<std::string> find_files(const char *folder, size_t count) {
    std::vector<std::string> paths;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".pm")
            paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    paths.resize(std::min(count, paths.size()));
    return paths;
}

void read_files(const char *folder, size_t count, Queue<std::unique_ptr<Document>> &documents) {
    unsigned number = 0;
    for (const std::string &path : find_files(folder, count)) {
        std::ifstream in(path);
        std::string line;
        auto document = std::make_unique<Document>(Document{number++, path, {}});
        while (std::getline(in, line)) {
            document->lines.push_back(line);
            if (document->lines.size() == lines_per_document) {
                documents.put(std::move(document));
                document = std::make_unique<Document>(Document{number++, path, {}});
            }
        }
        documents.put(std::move(document));
    }
    documents.close();
}

std::unique_ptr<Postings> tokenise(const Document &document) {
    auto postings = std::make_unique<Postings>();
    postings->document = document.number;
    unsigned position = 0;
    for (const std::string &line : document.lines) {
        std::string word;
        for (char c : line + " ") {
            if (isalnum(static_cast<unsigned char>(c)) || c == '_') {
                word += static_cast<char>(tolower(c));
            } else if (word.size() > 1) {
                postings->positions[word].push_back(position++);
                word.clear();
            } else {
                word.clear();
            }
        }
    }
    return postings;
}

void merge(Queue<std::unique_ptr<Postings>> &results, Index &index) {
    std::unique_ptr<Postings> postings;
    while (results.take(postings)) {
        for (auto &entry : postings->positions)
            index[entry.first].emplace_back(postings->document, std::move(entry.second));
        postings.reset();
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    const int worker_count = 4;
    Queue<std::unique_ptr<Document>> documents(32);
    Queue<std::unique_ptr<Postings>> results(32);
    Index index;

    std::thread reader([&] { read_files(argv[1], std::stoul(argv[2]), documents); });
    std::vector<std::thread> workers;
    for (int i = 0; i < worker_count; i++)
        workers.emplace_back([&] {
            std::unique_ptr<Document> document;
            while (documents.take(document))
                results.put(tokenise(*document));
        });
    std::thread merger([&] { merge(results, index); });
    reader.join();
    for (std::thread &worker : workers)
        worker.join();
    results.close();
    merger.join();

    size_t longest = 0;
    std::string most;
    for (const auto &entry : index)
        if (entry.second.size() > longest) {
            longest = entry.second.size();
            most = entry.first;
        }
    std::printf("%zu words, \"%s\" in %zu documents\n", index.size(), most.c_str(), longest);
    return 0;
}
