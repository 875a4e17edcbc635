import Testing

@testable import LocalNode

@Suite struct ResetTests {
    @Test func onlyMountsInsidePodsAreOurs() {
        let info = """
            20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            21 20 8:2 / /data rw shared:2 - ext4 /dev/sda2 rw
            22 21 8:3 / /data/images rw shared:3 - ext4 /dev/sda3 rw
            23 21 8:4 / /data/pods rw shared:4 - ext4 /dev/sda4 rw
            24 21 8:5 / /data/logs rw shared:5 - ext4 /dev/sda5 rw
            25 23 0:50 / /data/pods/u-1/volumes/made\\040inside rw - tmpfs tmpfs rw
            26 20 0:51 / /run/swiftlet/pods/u-1/shm rw - tmpfs tmpfs rw
            27 20 0:52 / /run/swiftlet/pods/u-1/volumes/cache rw - tmpfs tmpfs rw
            28 20 0:53 / /run/swiftlet-other/pods/u-2/shm rw - tmpfs tmpfs rw
            """
        #expect(
            Reset.mounts(in: info, ofPodsBelow: ["/data", "/run/swiftlet"]) == [
                "/data/pods/u-1/volumes/made inside", "/run/swiftlet/pods/u-1/shm",
                "/run/swiftlet/pods/u-1/volumes/cache",
            ])
    }
}
