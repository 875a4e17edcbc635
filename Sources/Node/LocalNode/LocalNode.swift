// LocalNode
