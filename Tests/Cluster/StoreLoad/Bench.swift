struct Bench { let directory: String; func run() async throws {} }
