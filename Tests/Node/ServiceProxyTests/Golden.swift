/// What `nft list table ip swiftlet-proxy` prints for `sampleServices()`.
let goldenText = """
    table ip swiftlet-proxy {
    	map frontends {
    		type ipv4_addr . inet_proto . inet_service : verdict
    		comment "cluster IP, protocol and port of a Service: how many slots"
    		elements = { 10.96.0.53 . udp . 53 comment "default/dns:dns" : goto pick-2,
    			     10.96.0.10 . tcp . 80 comment "default/web:http" : goto pick-3,
    			     10.96.0.11 . tcp . 80 comment "default/empty:80" : goto no-endpoints }
    	}

    	map nodeports {
    		type inet_proto . inet_service : verdict
    		comment "protocol and NodePort of a Service: how many slots"
    		elements = { tcp . 30080 comment "default/web:http" : goto nodeport-pick-3,
    			     tcp . 30081 comment "default/empty:80" : goto no-endpoints }
    	}

    	map endpoints {
    		typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport
    		comment "frontend and slot: the endpoint"
    		elements = { 10.96.0.53 . udp . 53 . 0 comment "default/dns:dns" : 10.244.0.7 . 5353,
    			     10.96.0.10 . tcp . 80 . 0 comment "default/web:http" : 10.244.0.3 . 8080,
    			     10.96.0.53 . udp . 53 . 1 comment "default/dns:dns" : 10.244.0.8 . 5353,
    			     10.96.0.10 . tcp . 80 . 1 comment "default/web:http" : 10.244.0.4 . 8080,
    			     10.96.0.10 . tcp . 80 . 2 comment "default/web:http" : 10.244.0.5 . 8080 }
    	}

    	map nodeport-endpoints {
    		typeof meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport
    		comment "NodePort and slot: the endpoint"
    		elements = { tcp . 30080 . 0 comment "default/web:http" : 10.244.0.3 . 8080,
    			     tcp . 30080 . 1 comment "default/web:http" : 10.244.0.4 . 8080,
    			     tcp . 30080 . 2 comment "default/web:http" : 10.244.0.5 . 8080 }
    	}

    	set cluster-ips {
    		type ipv4_addr
    		comment "every Service's cluster IP"
    		elements = { 10.96.0.10 comment "default/web", 10.96.0.11 comment "default/empty",
    			     10.96.0.53 comment "default/dns" }
    	}

    	set hairpin {
    		type ipv4_addr . ipv4_addr
    		comment "endpoints of this node that may call themselves"
    		elements = { 10.244.0.3 . 10.244.0.3 comment "default/web",
    			     10.244.0.4 . 10.244.0.4 comment "default/web",
    			     10.244.0.5 . 10.244.0.5 comment "default/web",
    			     10.244.0.7 . 10.244.0.7 comment "default/dns",
    			     10.244.0.8 . 10.244.0.8 comment "default/dns" }
    	}

    	chain no-endpoints {
    		reject with tcp reset
    		reject
    	}

    	chain pick-2 {
    		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000
    		dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 2 map @endpoints
    	}

    	chain pick-3 {
    		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000
    		dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 3 map @endpoints
    	}

    	chain nodeport-pick-3 {
    		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000
    		dnat ip to meta l4proto . th dport . numgen random mod 3 map @nodeport-endpoints
    	}

    	chain services {
    		ip daddr . meta l4proto . th dport vmap @frontends
    		fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @nodeports
    		ip daddr @cluster-ips goto no-endpoints
    		ip daddr 10.96.0.0/12 drop
    	}

    	chain prerouting {
    		type nat hook prerouting priority dstnat; policy accept;
    		jump services
    	}

    	chain output {
    		type nat hook output priority -100; policy accept;
    		jump services
    	}

    	chain postrouting {
    		type nat hook postrouting priority srcnat; policy accept;
    		meta mark & 0x00004000 == 0x00004000 meta mark set meta mark ^ 0x00004000 masquerade fully-random
    		ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random
    	}
    }

    """
